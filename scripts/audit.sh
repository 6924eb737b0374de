#!/usr/bin/env bash
# Look up every package of the three locks in a list of known vulnerabilities (run as `make audit`). Exit 1 if one is
# named, 2 if none could be looked up. AUDIT_SERVICE picks the list: pypi (default) or osv.
#
# pip-audit calls a package that the service does not know clean, and so all of them where a mirror answers in the
# service's place. So an old jinja2 is asked for first, whose vulnerabilities are long known.
set -euo pipefail
cd "$(dirname "$0")/.."
service=${AUDIT_SERVICE:-pypi}
audit=(.venv/bin/pip-audit --vulnerability-service "$service" --no-deps --disable-pip --progress-spinner off)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "jinja2==2.10" >"$folder/known.txt"
if "${audit[@]}" --requirement "$folder/known.txt" >"$folder/told" 2>&1 || ! grep -q "jinja2.*2\.10" "$folder/told" ||
  grep -q "could not be audited" "$folder/told"; then
  echo "error: the vulnerability service '$service' cannot be reached from here (it does not even name those of" >&2
  echo "jinja2 2.10): NOTHING HAS BEEN AUDITED; go online, or try AUDIT_SERVICE=osv" >&2
  exit 2
fi
failed=0
for lock in core cpu gpu; do
  echo "requirements/$lock.lock:"
  "${audit[@]}" --requirement "requirements/$lock.lock" || failed=1
done
exit "$failed"
