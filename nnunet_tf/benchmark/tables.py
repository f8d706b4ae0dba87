"""A report as tables on the terminal."""

from collections.abc import Callable, Iterator

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from data_preprocessing.common.text import counted
from nnunet_tf.benchmark.report import Report, Result, Roofline

GIB = 2**30

ROWS: dict[str, tuple[Callable[[Result], float | None], str]] = {
    "throughput (img/s)": (lambda result: result.images_per_second, ".2f"),
    "latency (ms): mean": (lambda result: 1e3 * result.latency_seconds.mean, ".1f"),
    "latency (ms): p50": (lambda result: 1e3 * result.latency_seconds.p50, ".1f"),
    "latency (ms): p90": (lambda result: 1e3 * result.latency_seconds.p90, ".1f"),
    "latency (ms): p95": (lambda result: 1e3 * result.latency_seconds.p95, ".1f"),
    "latency (ms): p99": (lambda result: 1e3 * result.latency_seconds.p99, ".1f"),
    "waiting for batches (% of a step)": (lambda result: 100 * result.loader_wait, ".1f"),
    "peak memory (GiB)": (lambda result: result.peak_memory_bytes / GIB, ".2f"),
    "peak GPU memory (GiB)": (lambda result: _gib(result.peak_gpu_memory_bytes), ".2f"),
}


def print_report(console: Console, report: Report) -> None:
    """Prints what was measured, and the roofline if there is one."""
    console.print(_title(report), markup=False, highlight=False)
    table = _table("Measured", ("", ""))
    for name, (value, digits) in ROWS.items():
        table.add_row(name, _number(value(report.result), digits))
    console.print(table)
    if report.roofline:
        _print_roofline(console, report.roofline, report.result.latency_seconds.mean)


def print_comparison(console: Console, report: Report, other: Report) -> None:
    """Prints both results and their ratios, this one over the other, and what else is different."""
    table = _table("Compared", ("", "this", f"other, {other.measured_at}", "ratio"))
    for name, (value, digits) in ROWS.items():
        one, two = value(report.result), value(other.result)
        ratio = one / two if one is not None and two else None
        table.add_row(name, _number(one, digits), _number(two, digits), _number(ratio, ".3f"))
    console.print(table)
    for name, here, there in differences(report, other):
        console.print(f"{name}: {here} here, {there} there", markup=False, highlight=False)


def differences(report: Report, other: Report) -> list[tuple[str, object, object]]:
    """Returns name, value here and value there of every setting, part of the machine and version that differ."""
    here, there = (
        {**dict(_flat(each.settings)), **dict(_flat(each.machine)), **each.versions} for each in (report, other)
    )
    names = [*here, *(name for name in there if name not in here)]
    return [(name, here.get(name), there.get(name)) for name in names if here.get(name) != there.get(name)]


def _print_roofline(console: Console, roofline: Roofline, seconds: float) -> None:
    table = _table("Roofline of one worker's step", ("", "GFLOP", "GB", "least ms"))
    for part in roofline.parts:
        table.add_row(
            part.kind, f"{part.flops / 1e9:.1f}", f"{part.bytes / 1e9:.3f}", f"{1e3 * part.bound_seconds:.1f}"
        )
    table.add_section()
    total = (f"{roofline.flops / 1e9:.1f}", f"{roofline.bytes / 1e9:.3f}", f"{1e3 * roofline.bound_seconds:.1f}")
    table.add_row("step", *total)
    console.print(table)
    reached = roofline.flops / seconds
    console.print(
        f"Machine: matrices {roofline.matrix_rate / 1e9:.0f} GFLOP/s, convolution "
        f"{roofline.convolution_rate / 1e9:.0f} GFLOP/s, memory {roofline.bandwidth / 1e9:.1f} GB/s. Reached: "
        f"{reached / 1e9:.0f} GFLOP/s, {100 * reached / roofline.matrix_rate:.0f}% of the matrix rate; "
        f"{100 * roofline.share:.0f}% of the roofline.",
        highlight=False,
    )


def _title(report: Report) -> str:
    settings, machine = report.settings, report.machine
    patch = " x ".join(map(str, settings.patch_size))
    network = "" if settings.network.network == "nnunet" else f" {settings.network.network}"
    words = [f"{settings.mode} {settings.dim}D{network}, patch {patch} x {settings.channels}"]
    words += [f"batch {settings.batch_size}", f"{counted(settings.workers, 'worker')}"]
    words += [settings.precision, *["XLA"] * settings.xla]
    return f"{', '.join(words)}; {settings.data} data; {machine}"


def _flat(model: BaseModel) -> Iterator[tuple[str, object]]:
    for name, value in model:
        yield from _flat(value) if isinstance(value, BaseModel) else [(name, value)]


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    return table


def _gib(size: int | None) -> float | None:
    return None if size is None else size / GIB


def _number(value: float | None, digits: str) -> str:
    return "-" if value is None else format(value, digits)
