# nnunet-tf for NVIDIA GPUs: docs/containers.md says how to build and run it, and which of these lines were tried, and how.
#
# Of NVIDIA's CUDA 12.5 image, the CUDA that TensorFlow 2.21 was built with, only the toolkit is used, to compile Horovod:
# it is made of Ubuntu 22.04, whose Python is 3.10 (3.11 is a release candidate there), while Debian 12 has 3.11 of its own.
# At run time CUDA, cuDNN and NCCL come from TensorFlow's wheels.

FROM nvidia/cuda:12.5.1-devel-ubuntu22.04 AS cuda

FROM debian:12.12-slim AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make python3.11-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/nnunet-tf
COPY requirements requirements
COPY scripts scripts
# Nobody may write beside the packages later: compiled once here, not at every start.
ENV UV_COMPILE_BYTECODE=1
# What `make setup GPU=1` runs.
RUN --mount=type=cache,target=/root/.cache/nnunet-tf \
    --mount=type=bind,from=cuda,source=/usr/local/cuda-12.5,target=/usr/local/cuda \
    python3.11 scripts/set_up.py --variant gpu \
    && python3.11 scripts/remove_development_packages.py

FROM debian:12.12-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3.11 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --no-create-home --home-dir /tmp nnunet \
    && install --directory --owner nnunet /work
COPY --from=build /opt/nnunet-tf/.venv /opt/nnunet-tf/.venv
COPY LICENSE pyproject.toml *.py /opt/nnunet-tf/
COPY configs /opt/nnunet-tf/configs
COPY data_preprocessing /opt/nnunet-tf/data_preprocessing
COPY nnunet_tf /opt/nnunet-tf/nnunet_tf
# HOME is for whoever `docker run --user` says; the current folder is the user's and no place to import from.
ENV PATH=/opt/nnunet-tf/.venv/bin:$PATH \
    PYTHONPATH=/opt/nnunet-tf \
    PYTHONSAFEPATH=1 \
    HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
WORKDIR /work
ENTRYPOINT ["python", "-m"]
CMD ["train", "--help"]
