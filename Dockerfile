# The service's image: one virtual environment, built in the first stage, copied into a bare second one.

FROM python:3.11-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/turnstile
ENV PATH=/opt/turnstile/bin:$PATH

# The dependencies alone first, so that a change of the code doesn't install them again.
WORKDIR /src
COPY requirements.runtime.lock ./
RUN pip install --require-hashes -r requirements.runtime.lock

COPY pyproject.toml README.md LICENSE ./
COPY rules rules
COPY tables tables
COPY agents agents
COPY app app
COPY bench bench
RUN pip install --no-deps .


FROM python:3.11-slim

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="turnstile" \
      org.opencontainers.image.description="Real-time audience segmentation on streams" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# A fixed number, not a name: Kubernetes can check runAsNonRoot only against a number, and fsGroup needs it.
RUN groupadd --gid 10001 turnstile \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/turnstile turnstile \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/turnstile

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
