#!/bin/sh
# Trains on a sample log and compares its figures with those of the main branch.
#
#     train-and-compare.sh MAIN_METRICS.json OUT_FOLDER [what `din run` takes: --csv, -c, --preset]
#
# Writes OUT_FOLDER/metrics.json (keep that of the main branch for the next call) and
# OUT_FOLDER/summary.md. Ends with status 1 where the model is significantly worse, or a step failed.
# Where MAIN_METRICS.json is not there yet, nothing is compared.
# DIN names the program, JUDGED_BY the metrics that count (default: auc).
set -eu

main=$1
out=$2
shift 2
mkdir -p "$out"
DIN_HOME=${DIN_HOME:-$(cd "$out" && pwd)/data}
export DIN_HOME
din=${DIN:-din}

$din run "$@"

set -- --json "$out/metrics.json"
if [ -f "$main" ]; then
    set -- "$@" --against "$main"
    for metric in ${JUDGED_BY:-auc}; do
        set -- "$@" --by "$metric"
    done
else
    echo "$main is not there yet: nothing is compared"
fi
status=0
{
    echo "## Deep Interest Network on the sample log"
    echo
    $din metrics "$@"
} >"$out/summary.md" || status=$?
cat "$out/summary.md"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    cat "$out/summary.md" >>"$GITHUB_STEP_SUMMARY"
fi
exit "$status"
