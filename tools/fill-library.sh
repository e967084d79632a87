#!/bin/bash
# A library of N stickers for measuring, without encoding N pictures: FILL N FOLDER MODEL
#   FOLDER/files    N tiny files, which stand for pictures and are never read, and captions.tsv
#   FOLDER/library  their rows; vectors are those of 200 drawn stickers, turned by 0 … dim - 1 places
set -eu
n=$1 folder=$(realpath -m "$2") model=${3:-models/mini}
bqb=$(realpath "${BQB:-build/bqb}")
export BQB_LIBRARY=$folder/library BQB_MODEL=$model
mkdir -p "$folder/files" "$folder/drawn"
"$bqb" synth --out "$folder/drawn" --count 200 --seed 1 >/dev/null
"$bqb" import "$folder/drawn" >/dev/null
seq "$n" | split -l 1 -a 6 -d --additional-suffix=.png - "$folder/files/"
find "$folder/files" -type f -print0 | xargs -0 touch -d @1700000000
dim=$(sqlite3 "$BQB_LIBRARY/library.db" 'SELECT dim FROM model LIMIT 1')
sqlite3 "$BQB_LIBRARY/library.db" <<SQL
CREATE TEMP TABLE drawn AS SELECT row_number() OVER (ORDER BY e.id) - 1 AS k, e.model AS model, e.vector AS v
  FROM embedding e WHERE e.kind = 'image';
CREATE TEMP TABLE new AS WITH RECURSIVE i(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM i WHERE x + 1 < $n) SELECT x FROM i;
BEGIN;
INSERT INTO sticker(sha256, size_bytes, format, width, height, frames, duration_ms, added)
  SELECT randomblob(32), length(x + 1) + 1, 'png', 240, 240, 1, 0, 1700000000 FROM new;
INSERT INTO file(path, sticker, size_bytes, mtime_ns)
  SELECT CAST('$folder/files/' || printf('%06d', x) || '.png' AS BLOB),
    (SELECT max(id) FROM sticker) - $n + 1 + x, length(x + 1) + 1, 1700000000000000000 FROM new;
INSERT INTO embedding(model, kind, sticker, vector)
  SELECT d.model, 'image', (SELECT max(id) FROM sticker) - $n + 1 + x,
    CAST(substr(d.v, 1 + 2 * (x % $dim)) || substr(d.v, 1, 2 * (x % $dim)) AS BLOB)
  FROM new JOIN drawn d ON d.k = x % (SELECT count(*) FROM drawn);
UPDATE meta SET value = value + 1 WHERE key = 'generation';
INSERT OR REPLACE INTO meta SELECT 'reshaped', value FROM meta WHERE key = 'generation';
COMMIT;
SQL
# Captions of two to four words out of those of the drawn stickers.
awk -F '\t' -v n="$n" 'NR > 1 { w[++m] = $2 } END { srand(1); print "file\tcaption"
  for (i = 0; i < n; i++) printf "%06d.png\t%s%s%d\n", i, w[int(rand() * m) + 1], w[int(rand() * m) + 1], i }' \
    "$folder/drawn/captions.tsv" >"$folder/files/captions.tsv"
