#!/bin/sh
# Resolve pyproject.toml into one hashed lock file a stack and device kind: `make lock`.
# Versions stay as they are where pyproject.toml allows; `locks/lock.sh --upgrade` takes the newest.
# ONLY=NAME resolves one file.
# The files carry no index address: the installing machine's own pip configuration decides where wheels come from.
set -eu
cd "$(dirname "$0")"
uv=${UV:-uv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

asked() { # name
    [ "${ONLY:-$1}" = "$1" ]
}

lock() { # name, lowest Python, environment marker, extra options
    name=$1 python=$2 marker=$3
    shift 3
    asked "$name" || return 0
    cp ../pyproject.toml "$work/pyproject.toml"
    [ ! -e "$name.txt" ] || cp "$name.txt" "$work/"
    # botocore, which the S3 server of the tests needs, still asks for python-dateutil below 3. It runs with 4, and no
    # package of the benchmark goes back for it.
    printf '\n[tool.uv]\nenvironments = ["%s"]\noverride-dependencies = ["python-dateutil>=2.8"]\n' "$marker" \
        >>"$work/pyproject.toml"
    # uv takes the environments of the project it stands in, so it has to stand in the copy.
    (cd "$work" && "$uv" pip compile --quiet --universal --python-version "$python" --generate-hashes \
        --no-emit-index-url --no-annotate --no-header --extra dev "$@" pyproject.toml --output-file "$name.txt")
    cp "$work/$name.txt" "$name.txt"
    echo "locks/$name.txt: $(grep -c '==' "$name.txt") packages"
}

lock_tfx() { # the environment of TFX 1.15, which has no room for the project: what `bench.tfx` needs there besides
    asked tfx1.15-cpu || return 0
    # dill: tfx-bsl 1.15 imports it without requiring it. TFX declares Python below 3.11; its packages have wheels for it.
    [ ! -e tfx1.15-cpu.txt ] || cp tfx1.15-cpu.txt "$work/"
    printf "%s\n" tfx==1.15.1 dill typer psutil pillow 'setuptools<81' wheel >"$work/tfx.in"
    (cd "$work" && "$uv" pip compile --quiet --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
        --generate-hashes --no-emit-index-url --no-annotate --no-header "$@" tfx.in --output-file tfx1.15-cpu.txt)
    cp "$work/tfx1.15-cpu.txt" tfx1.15-cpu.txt
    echo "locks/tfx1.15-cpu.txt: $(grep -c '==' tfx1.15-cpu.txt) packages"
}

lock tf2.15-cpu 3.11 "python_version < '3.12' and sys_platform != 'win32'" "$@"
lock tf2.21-cpu 3.12 "python_version >= '3.12' and python_version < '3.14' and sys_platform != 'win32'" "$@"
lock tf2.15-cuda 3.11 "python_version < '3.12' and sys_platform == 'linux'" --extra gpu "$@"
lock tf2.21-cuda 3.12 "python_version >= '3.12' and python_version < '3.14' and sys_platform == 'linux'" --extra gpu "$@"
lock tf2.21-tfma 3.12 "python_version >= '3.12' and python_version < '3.14' and sys_platform != 'win32'" --extra tfma "$@"
# ml-metadata and TensorFlow Data Validation have wheels for Linux with glibc 2.39 and newer alone.
lock tf2.21-tfx 3.12 "python_version >= '3.12' and python_version < '3.14' and sys_platform == 'linux'" --extra tfx "$@"
lock_tfx "$@"
