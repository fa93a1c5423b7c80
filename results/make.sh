#!/usr/bin/env bash
# Make the published studies again from a clean checkout: run them, publish them, write the index.
#
#     pip install -c constraints.txt -e '.[notebook,publish]'
#     bash results/make.sh                       # all of them
#     bash results/make.sh quickstart own_loop   # some of them
#
# Runs lie in the folder RUNS, by default a temporary one. A study that lies there sealed is published as it is: copy
# one there that another machine ran. WORKERS runs are carried out at a time. inner_layers and own_loop read
# Fashion-MNIST (`apt-get install dataset-fashion-mnist`); inner_layers takes an hour on two cores,
# elasticity_meets_collapse twenty minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-$(mktemp -d)}
workers=${WORKERS:-2}
mkdir -p "$runs" results/published
runs=$(cd "$runs" && pwd)
export OMP_NUM_THREADS=1

# A cube is left out of the repository if it, or the folder with it, is large; the digest is that of the whole archive.
publish() { # STUDY NAME
    local options=(--format svg --author "The elastic developers" --license Apache-2.0)
    local folder=results/published/$2
    if [ "$(bytes "$1/cube.zarr")" -lt 5000000 ]; then
        elastic publish "$1" -o "$folder" "${options[@]}"
        if [ "$(bytes "$folder")" -lt 9900000 ]; then return; fi
    fi
    elastic publish "$1" -o "$folder" --without-cube "${options[@]}"
}

bytes() { find "$1" -type f -exec cat {} + | wc -c; }

from_protocol() { # NAME [OPTION...]
    local name=$1
    shift
    if [ ! -e "$runs/$name/manifest.sha256" ]; then
        elastic run "protocols/$name.yaml" --out "$runs" --workers "$workers" "$@"
    fi
    publish "$runs/$name" "$name"
}

quickstart() { from_protocol quickstart; }
extended_unconstrained_features() { from_protocol extended_unconstrained_features; }
inner_layers() { from_protocol inner_layers; }
elasticity_meets_collapse() { from_protocol elasticity_meets_collapse; }
locality_onset() { from_protocol locality_onset; }

# The notebook trains two networks in loops of its own; what it records is published as two studies.
own_loop() {
    mkdir -p "$runs/own_loop"
    if [ ! -e "$runs/own_loop/analysis.ipynb" ]; then
        python results/own_loop/execute.py "$runs/own_loop"
    fi
    cp "$runs/own_loop/analysis.ipynb" results/own_loop/analysis.ipynb
    publish "$runs/own_loop/fashion_resnet" fashion_resnet
    publish "$runs/own_loop/digits_transformer" digits_transformer
}

all="quickstart extended_unconstrained_features inner_layers elasticity_meets_collapse locality_onset own_loop"
for name in "${@:-$all}"; do
    for one in $name; do "$one"; done
done
elastic index results
elastic index results --check
