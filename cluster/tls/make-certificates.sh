#!/bin/sh
# Makes a certificate authority for one Dask cluster, a certificate each for its scheduler, its workers and its
# clients, and Dask's configuration that names them. Whoever holds a certificate of this authority may run code on
# the cluster: keep ca.key off it, and the folder to yourself.
#
#   make-certificates.sh FOLDER [MOUNTED_AT [DAYS]]
#
# MOUNTED_AT is where the cluster will see the folder (FOLDER itself unless said), DAYS how long certificates hold
# (90 unless said). A second run keeps the authority and renews the certificates.
set -eu
umask 077
[ $# -ge 1 ] && [ $# -le 3 ] || { sed -n '6,9s/^# *//p' "$0" >&2; exit 2; }
command -v openssl >/dev/null || { echo "openssl is not installed" >&2; exit 1; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
mounted_at=${2:-$folder}
days=${3:-90}
cd "$folder"

if [ ! -f ca.key ]; then
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key
  openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=lastfm-dask cluster authority" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.pem
fi

for role in scheduler worker client; do
  openssl ecparam -name prime256v1 -genkey -noout -out "$role.key"
  cat >"$role.ext" <<EXTENSIONS
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:$role
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
EXTENSIONS
  openssl req -new -key "$role.key" -subj "/CN=lastfm-dask $role" |
    openssl x509 -req -CA ca.pem -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" -sha256 -days "$days" \
      -extfile "$role.ext" -out "$role.pem" 2>/dev/null
  rm "$role.ext"
  openssl verify -CAfile ca.pem "$role.pem" >/dev/null
done

cat >dask.yaml <<CONFIGURATION
distributed:
  comm:
    require-encryption: true
    tls:
      ca-file: $mounted_at/ca.pem
      scheduler: {cert: $mounted_at/scheduler.pem, key: $mounted_at/scheduler.key}
      worker: {cert: $mounted_at/worker.pem, key: $mounted_at/worker.key}
      client: {cert: $mounted_at/client.pem, key: $mounted_at/client.key}
CONFIGURATION
echo "$folder: ca.pem, scheduler, worker and client (.pem and .key), dask.yaml; valid for $days days"
