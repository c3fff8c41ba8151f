# recrun in a container, for a CPU or for NVIDIA GPUs: see docs/container.md.
#
#   docker build --tag recrun .
#   docker build --tag recrun:cuda --build-arg TORCH_INDEX= .
#
# The image holds Python, recrun and what it needs, and runs as a user without rights. Runs and data are volumes.

# Any Debian or Ubuntu. One without Python, such as nvidia/cuda:12.8.1-base-ubuntu24.04, gets that of the distribution.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
# Where torch is installed from: its builds for CPUs; empty for PyPI's build, which brings CUDA's libraries.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Extras of recrun, such as [serve] or [mlflow,wandb].
ARG EXTRAS=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN command -v python3 >/dev/null && python3 -c 'import ensurepip' \
    || { apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv; }
RUN python3 -m venv /opt/recrun

# torch is most of the download. It has a layer of its own, which a change of recrun does not make anew.
COPY constraints.txt /src/
RUN /opt/recrun/bin/pip install --constraint /src/constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch

COPY pyproject.toml setup.cfg setup.py README.md LICENSE /src/
COPY recrun /src/recrun
COPY models /src/models
COPY configs /src/configs
RUN /opt/recrun/bin/pip install --constraint /src/constraints.txt "/src${EXTRAS}"
RUN /opt/recrun/bin/recrun --version

FROM ${BASE}
RUN command -v python3 >/dev/null \
    || { apt-get update && apt-get install --yes --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*; }
COPY --from=build /opt/recrun /opt/recrun

# Whoever runs it (docker run --user) can write here: the working folder, the cache of prepared data, what is trusted.
RUN mkdir -p /app/runs /app/data /home/recrun && chmod 1777 /app /app/runs /app/data /home/recrun
ENV PATH=/opt/recrun/bin:$PATH HOME=/home/recrun USER=recrun PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /app
VOLUME ["/app/runs", "/app/data"]
ENTRYPOINT ["recrun"]
CMD ["--help"]
