# syntax=docker/dockerfile:1
#
# The server. Which pipeline and model it serves is said when it starts: see docs/deploy-docker.md.
#
# torch's wheel brings the CUDA 13 libraries. The base adds what lets a data-centre driver of
# CUDA 12 run them, and has the start of the container fail where no driver can.

FROM ghcr.io/astral-sh/uv:0.9.5 AS uv

FROM nvidia/cuda:13.0.1-base-ubuntu24.04

# A C compiler is what torch.compile and stable-fast's Triton build their kernels with.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

ENV UV_PYTHON_INSTALL_DIR=/opt/python \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH

COPY --from=uv /uv /usr/local/bin/uv
RUN uv venv --no-cache --python 3.11 "$VIRTUAL_ENV"

# REQUIREMENTS may be requirements-sfast.txt, which has a torch of its own; EXTRA_REQUIREMENTS adds
# a file such as requirements-accelerators.txt. Packages come before the code, so that a change of
# the code leaves these gigabytes alone.
ARG REQUIREMENTS=requirements.txt
ARG EXTRA_REQUIREMENTS=""
COPY requirements*.txt /tmp/requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install -r "/tmp/requirements/$REQUIREMENTS" \
        ${EXTRA_REQUIREMENTS:+-r "/tmp/requirements/$EXTRA_REQUIREMENTS"}

RUN userdel --remove ubuntu \
    && useradd --uid 1000 --create-home runner \
    && mkdir /models /data \
    && chown runner:runner /models /data

WORKDIR /app
COPY bench.py ray_app.py ./
COPY benchmarks benchmarks
COPY demo demo
COPY app app
# The user that runs it cannot: it would be done anew at every start.
RUN python -m compileall -q app benchmarks

ENV MODEL_DIR=/models \
    DATA_DIR=/data \
    PORT=8000 \
    PYTHONUNBUFFERED=1

USER 1000
VOLUME ["/models", "/data"]
EXPOSE 8000

# 503 while the model loads: a long one may take minutes, and is asked every second until then.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/health' % os.environ['PORT'], timeout=4)"]

# The exec form: the server is process 1 and hears SIGTERM.
CMD ["python", "-m", "app"]
