# The service's image: one virtual environment, built in a stage of its own, copied into a bare last one.
# Build it in a checkout: docker build --build-arg REVISION="$(git rev-parse HEAD)" -t turnstile:0.1.0 .
# It is for amd64 (elsewhere: --platform linux/amd64), because faust-streaming has no wheel for arm64.
#
# Bases are named by their digests (of the index of all platforms), so that every build is the same and Dependabot or
# Renovate can raise them. The digest of the day is printed by:
#   docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'

# What builds the native engine's wheel. It is a program without Python, so the stage with Rust needs no Python.
FROM python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS maturin

COPY requirements.core.lock ./
RUN python -m venv /opt/maturin \
    && /opt/maturin/bin/python -m pip install --require-hashes --only-binary :all: -r requirements.core.lock


# Rust and a C compiler are in this stage alone. Cargo.lock has a checksum of each crate, and nothing else is taken.
FROM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS core

COPY --from=maturin /opt/maturin/bin/maturin /usr/local/bin/
WORKDIR /src
COPY core core
RUN maturin build --release --locked --compatibility linux --manifest-path core/Cargo.toml --out /opt/wheels


FROM python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/turnstile

# The dependencies alone first, so that a change of the code doesn't install them again. Wheels only: nothing of
# theirs is run here, and no compiler is needed.
WORKDIR /src
COPY requirements.build.lock requirements.runtime.lock ./
RUN python -m pip --python /opt/turnstile/bin/python install --require-hashes --only-binary :all: \
        -r requirements.runtime.lock

# What builds our own package is locked, too. It stays in this stage.
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes --only-binary :all: -r requirements.build.lock

COPY pyproject.toml README.md LICENSE ./
COPY rules rules
COPY tables tables
COPY agents agents
COPY app app
COPY turnstile_segmentation turnstile_segmentation
COPY --from=core /opt/wheels /opt/build/wheels
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /opt/build/wheels . \
    && python -m pip --python /opt/turnstile/bin/python install --no-deps --no-index /opt/build/wheels/*.whl


FROM python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="turnstile" \
      org.opencontainers.image.description="Real-time audience segmentation on streams" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# What installs packages has no place in a running service. The base's link bin/pip is in no package's list of files.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
    && rm -rf /usr/local/bin/pip /usr/local/lib/python3.11/ensurepip

# A fixed number, not a name: Kubernetes can check runAsNonRoot only against a number, and fsGroup needs it.
RUN echo "turnstile:x:10001:" >>/etc/group \
    && echo "turnstile:x:10001:10001::/var/lib/turnstile:/usr/sbin/nologin" >>/etc/passwd \
    && mkdir -m 0750 /var/lib/turnstile \
    && chown 10001:10001 /var/lib/turnstile

COPY --from=build /opt/turnstile /opt/turnstile

# With a read-only root file system only the data volume and /tmp are written.
ENV PATH=/opt/turnstile/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TURNSTILE_WORKER__DATA_DIR=/var/lib/turnstile

USER 10001:10001
WORKDIR /var/lib/turnstile
VOLUME /var/lib/turnstile

# Kubernetes probes /livez and /readyz; a second judge in the image would only disagree with it.
HEALTHCHECK NONE

ENTRYPOINT ["turnstile"]
CMD ["worker"]
