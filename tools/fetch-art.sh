#!/bin/sh
# Fetch emoji art by other hands, for training only: bqb synth --art DIR.
# Nothing of it is committed or shipped; data/LICENSES says under which terms it is used.
# Usage: tools/fetch-art.sh [DIR]   (default build/art; needs npm and the network)
set -eu
dir=${1:-build/art}
mkdir -p "$dir"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# fetch PACKAGE@VERSION FOLDER_IN_PACKAGE NAME
fetch() {
    if [ -e "$dir/$3/.from" ] && [ "$(cat "$dir/$3/.from")" = "$1" ]; then
        echo "$3: there already ($1)"
        return
    fi
    echo "$3: $1"
    (cd "$tmp" && rm -rf package && npm pack --silent "$1" >name && tar xzf "$(tail -n 1 name)")
    rm -rf "${dir:?}/$3"
    mv "$tmp/package/$2" "$dir/$3" 2>/dev/null || { mkdir -p "$dir/$3" && cp -R "$tmp/package/." "$dir/$3/"; }
    for f in LICENSE LICENCE license LICENSE.md README.md; do
        [ ! -f "$tmp/package/$f" ] || cp "$tmp/package/$f" "$dir/$3/" 2>/dev/null || true
    done
    echo "$1" >"$dir/$3/.from"
}

# fetch_icons PACKAGE@VERSION NAME: the package is one icons.json, from which a file an icon is made.
fetch_icons() {
    if [ -e "$dir/$2/.from" ] && [ "$(cat "$dir/$2/.from")" = "$1" ]; then
        echo "$2: there already ($1)"
        return
    fi
    fetch "$1" . "$2.package"
    rm -rf "${dir:?}/$2"
    mkdir "$dir/$2"
    node -e '
        const fs = require("fs"), [from, to] = process.argv.slice(1)
        const set = JSON.parse(fs.readFileSync(from + "/icons.json"))
        for (const [name, icon] of Object.entries(set.icons)) {
            const w = icon.width ?? set.width ?? 16, h = icon.height ?? set.height ?? 16
            fs.writeFileSync(`${to}/${name}.svg`, `<svg xmlns="http://www.w3.org/2000/svg" ` +
                `xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}">${icon.body}</svg>\n`)
        }' "$dir/$2.package" "$dir/$2"
    cp "$dir/$2.package/info.json" "$dir/$2/"
    rm -rf "${dir:?}/$2.package"
    echo "$1" >"$dir/$2/.from"
}

fetch @twemoji/svg@15.0.0 . twemoji
fetch fluentui-emoji@1.3.0 icons fluentui
fetch @lobehub/fluent-emoji-3d@1.1.0 assets fluent-3d
fetch_icons @iconify-json/noto-v1@1.2.5 noto-v1
fetch_icons @iconify-json/streamline-emojis@1.2.4 streamline
