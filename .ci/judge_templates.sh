#!/usr/bin/env bash
# Judges the templates of three environments, and that of sweeps on AWS Batch, with tools that share no code with the
# platform: cfn-lint, checkov, sqlglot.
# Usage: judge_templates.sh [FOLDER]; the templates are left in FOLDER when it is given.
set -euo pipefail
cd "$(dirname "$0")/.."

venv="${ORRERY_VENV:-$HOME/.cache/orrery/venv}"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r .ci/requirements.txt

if [ $# -ge 1 ]; then
    folder="$1"
else
    folder="$(mktemp -d)"
    trap 'rm -rf "$folder"' EXIT
fi
for env in dev prod; do
    cargo platform synth --env "$env" --out "$folder/$env" > /dev/null
done
cargo platform synth --settings .ci/everything.toml --out "$folder/all" > /dev/null
"$venv/bin/python" .ci/judge_templates.py "$folder/dev" "$folder/prod" "$folder/all" deploy/batch
