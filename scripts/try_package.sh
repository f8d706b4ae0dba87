#!/usr/bin/env bash
# Takes an installed nnunet-tf through all its stages, in an empty folder: scripts/try_package.sh .venv/bin/nnunet-tf
set -euo pipefail
program=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$program" --version
"$program" phantom --cases 8
"$program" verify --task 00
"$program" preprocess --task 00
"$program" train --task 00 --dim 3 --amp --deep-supervision --epochs 1 --steps-per-epoch 4
"$program" predict --task 00 --dim 3 --overlap 0.5 --blend-mode gaussian
"$program" evaluate --predictions results/task00_3d/fold_0/predictions --labels data/Task00_Phantom/labelsTs
"$program" package results/task00_3d/fold_0 model.zip
"$program" predict --model model.zip --input data/Task00_Phantom/imagesTs --output again
cmp results/task00_3d/fold_0/predictions/phantom_006.nii.gz again/phantom_006.nii.gz
