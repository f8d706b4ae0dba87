"""Build Horovod's wheel against the TensorFlow of the Python that runs this script.

Horovod 0.28.1 is the last release and knows TensorFlow up to 2.12, so a few lines of its source are changed
first. ``set_up.py`` runs this; by hand, in an environment installed from ``requirements/``:

    .venv/bin/python scripts/build_horovod.py --variant cpu --output wheels
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
REQUIREMENT = REPOSITORY / "requirements" / "horovod.txt"

# Volta, Ampere and Hopper; the driver compiles the code of the last one for anything newer.
GPU_ARCHITECTURES = "70,80,90"
MAX_COMPILER_PROCESSES = 8  # each takes up to 2 GiB of memory


class UserError(Exception):
    """Something that the person running the command can put right: shown as one line, exit status 2."""


class SourceChange(NamedTuple):
    """One replacement in Horovod's source; ``old`` must be there exactly once."""

    file: str
    old: str
    new: str


SOURCE_CHANGES = (
    # The XLA operations include headers that TensorFlow has moved. Without these operations an all-reduce
    # cannot be inside a function compiled with jit_compile=True; outside it nothing changes.
    SourceChange(
        file="horovod/tensorflow/CMakeLists.txt",
        old='list(APPEND TF_SOURCES "${PROJECT_SOURCE_DIR}/horovod/tensorflow/xla_mpi_ops.cc")\n',
        new="",
    ),
    # TensorFlow no longer exports AsGpuStreamValue: the library would link, and then fail to load. The stream
    # itself gives the CUDA stream. The declaration goes, and a definition comes after the header it needs.
    SourceChange(
        file="horovod/tensorflow/mpi_ops.cc",
        old="""\
// Forward declaration of AsGpuStreamValue
namespace stream_executor {
namespace gpu {
GpuStreamHandle AsGpuStreamValue(Stream* stream);
} // namespace stream_executor
} // namespace gpu
""",
        new="",
    ),
    SourceChange(
        file="horovod/tensorflow/mpi_ops.cc",
        old="""\
#include "tensorflow/stream_executor/stream.h"
#endif // TENSORFLOW_VERSION >= 2011000000
""",
        new="""\
#include "tensorflow/stream_executor/stream.h"
#endif // TENSORFLOW_VERSION >= 2011000000
namespace stream_executor {
namespace gpu {
inline GpuStreamHandle AsGpuStreamValue(Stream* stream) {
  return static_cast<GpuStreamHandle>(stream->platform_specific_handle().stream);
}
} // namespace gpu
} // namespace stream_executor
""",
    ),
    # NCCL is looked for beside Horovod in site-packages, not where the wheel happened to be built: a wheel is
    # kept, and installed elsewhere.
    SourceChange(
        file="horovod/tensorflow/CMakeLists.txt",
        old='set_target_properties(${TF_TARGET_LIB} PROPERTIES OUTPUT_NAME "mpi_lib")\n',
        new="""\
set_target_properties(${TF_TARGET_LIB} PROPERTIES OUTPUT_NAME "mpi_lib")
set_target_properties(${TF_TARGET_LIB} PROPERTIES
                      BUILD_WITH_INSTALL_RPATH TRUE INSTALL_RPATH "$ORIGIN/../../nvidia/nccl/lib")
""",
    ),
)


def check_compilers(variant: str) -> None:
    """Raise ``UserError`` when a compiler that the build needs is not there."""
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler) is None:
        raise UserError(f"no C++ compiler ({compiler}): install g++ (on Debian or Ubuntu: apt-get install g++)")
    if variant == "gpu":
        check_cuda(cuda_home())


def cuda_home() -> Path:
    """Find the folder of the CUDA toolkit."""
    return Path(os.environ.get("CUDA_HOME") or "/usr/local/cuda")


def check_cuda(home: Path) -> None:
    """Raise ``UserError`` unless ``home`` holds the compiler and the headers of a CUDA 12 toolkit."""
    remedy = "install the CUDA 12 toolkit (12.5 is TensorFlow's own), or say where it is with CUDA_HOME=DIR"
    nvcc = home / "bin" / "nvcc"
    for needed in (nvcc, home / "include" / "cuda_runtime.h"):
        if not needed.is_file():
            raise UserError(f"Horovod's GPU build needs CUDA 12, and there is no {needed}: {remedy}")
    found = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False)
    release = re.search(r"release (\d+)\.(\d+)", found.stdout)
    if release is None or release[1] != "12":
        what = f"CUDA {release[1]}.{release[2]}" if release else "no working compiler"
        raise UserError(f"Horovod's GPU build needs CUDA 12, and {nvcc} is {what}: {remedy}")


def download_source(folder: Path) -> Path:
    """Fetch the sources of the locked release, whose hash pip checks, and return the unpacked folder."""
    command = [sys.executable, "-m", "pip", "download", "--require-hashes", "--requirement", str(REQUIREMENT)]
    # Build isolation would fetch build tools, only to ask the source for its name and version.
    command += ["--no-deps", "--no-binary=:all:", "--no-build-isolation", "--dest", str(folder)]
    subprocess.run(command, check=True)
    (archive,) = folder.glob("horovod-*.tar.gz")
    shutil.unpack_archive(archive, folder)
    return folder / archive.name.removesuffix(".tar.gz")


def change_source(source: Path) -> None:
    """Apply ``SOURCE_CHANGES``; stop when the source is not the one they were made for."""
    for change in SOURCE_CHANGES:
        path = source / change.file
        text = path.read_text()
        if text.count(change.old) != 1:
            raise RuntimeError(
                f"{change.file} of Horovod has changed: it should contain exactly once\n{change.old}"
                "See whether the change in SOURCE_CHANGES is still needed, and how it has to look now."
            )
        path.write_text(text.replace(change.old, change.new))


def build_environment(variant: str, folder: Path) -> dict[str, str]:
    """Set the environment variables that tell Horovod's build what to build."""
    # The caller's HOROVOD_* must not get through: nothing but this function decides what is built.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOROVOD_")}
    environment |= {
        "HOROVOD_CMAKE": str(Path(sys.executable).parent / "cmake"),
        "HOROVOD_WITH_TENSORFLOW": "1",
        "HOROVOD_WITHOUT_PYTORCH": "1",
        "HOROVOD_WITHOUT_MXNET": "1",
        "HOROVOD_WITHOUT_MPI": "1",
        "HOROVOD_WITHOUT_NVTX": "1",
        "HOROVOD_WITH_GLOO": "1",
        "CMAKE_POLICY_VERSION_MINIMUM": "3.5",  # CMake 4 refuses the Gloo inside Horovod without it
        "MAKEFLAGS": f"-j{min(os.cpu_count() or 1, MAX_COMPILER_PROCESSES)}",
    }
    if variant == "gpu":
        environment |= {
            "HOROVOD_GPU": "CUDA",
            "HOROVOD_GPU_OPERATIONS": "NCCL",
            "HOROVOD_CUDA_HOME": str(cuda_home()),
            "HOROVOD_BUILD_CUDA_CC_LIST": GPU_ARCHITECTURES,
            "HOROVOD_NCCL_HOME": str(nccl_for_linking(folder)),
            "HOROVOD_NCCL_LINK": "SHARED",  # NCCL's wheel has no static library
        }
    return environment


def nccl_for_linking(folder: Path) -> Path:
    """Make a folder where the linker finds the installed NCCL, which lacks the name ``libnccl.so``."""
    installed = Path(sysconfig.get_path("purelib")) / "nvidia" / "nccl"
    nccl = folder / "nccl"
    (nccl / "lib").mkdir(parents=True)
    (nccl / "include").symlink_to(installed / "include")
    (nccl / "lib" / "libnccl.so").symlink_to(installed / "lib" / "libnccl.so.2")
    return nccl


def build_wheel(variant: str, output: Path) -> None:
    """Download, change and build Horovod, and put the wheel in the folder ``output``."""
    with tempfile.TemporaryDirectory(prefix="horovod-") as name:
        folder = Path(name)
        source = download_source(folder)
        change_source(source)
        command = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps", "--no-build-isolation"]
        command += ["--no-cache-dir", "--wheel-dir", str(output), str(source)]
        subprocess.run(command, env=build_environment(variant, folder), check=True)


def main() -> int:
    """Read the command line, build, and return the exit status."""
    parser = argparse.ArgumentParser(description="Build Horovod's wheel against the installed TensorFlow.")
    parser.add_argument("--variant", choices=("cpu", "gpu"), default="cpu", help="gpu needs CUDA 12 in CUDA_HOME")
    parser.add_argument("--output", type=Path, required=True, help="folder for the wheel")
    options = parser.parse_args()
    try:
        check_compilers(options.variant)
        build_wheel(options.variant, options.output)
    except UserError as error:
        print(f"build_horovod.py: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"build_horovod.py: this failed: {error.cmd}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
