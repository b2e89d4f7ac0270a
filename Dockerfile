# The assets that Go embeds.
FROM node:20-bookworm-slim AS assets
WORKDIR /src/templates
COPY templates/package.json templates/package-lock.json templates/.npmrc ./
RUN npm ci --omit=dev

FROM node:20-bookworm-slim AS miniprogram
WORKDIR /src/miniprogram
COPY miniprogram/package.json miniprogram/package-lock.json miniprogram/.npmrc ./
RUN npm ci
COPY miniprogram ./
RUN npm run build:h5

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=assets /src/templates/node_modules/htmx.org/dist/htmx.min.js templates/static/vendor/
COPY --from=miniprogram /src/miniprogram/dist/build/h5 miniprogram/h5/
# PKCS#11 modules are C libraries, so the binary links the C library of this Debian,
# the same as that of the last stage.
RUN CGO_ENABLED=1 go build -trimpath -ldflags='-s -w' -o /yuncaidun .

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates fonts-wqy-microhei softhsm2 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --home-dir /data --shell /usr/sbin/nologin yuncaidun
COPY --from=build /yuncaidun /usr/local/bin/yuncaidun
USER 10001
WORKDIR /data
# The host maps the port; development data, if any, lies in the volume.
ENV YCD_LISTEN=0.0.0.0:8080 YCD_DATA_DIR=/data/var
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["yuncaidun", "health"]
ENTRYPOINT ["yuncaidun"]
CMD ["serve"]
