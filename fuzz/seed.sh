#!/bin/sh
# Copies the inputs of the golden files to where cargo-fuzz looks for the first inputs of a target.
set -eu
cd "$(dirname "$0")"
golden=../crates/dialects/golden

# seed <target> <folder under golden/>
seed() {
    mkdir -p "corpus/$1"
    for file in "$golden/$2"/*; do
        case "$file" in
        *.to-*) ;;
        *) cp "$file" "corpus/$1/$(echo "$2" | tr / -)-$(basename "$file")" ;;
        esac
    done
}

for dialect in openai_chat openai_responses anthropic_messages gemini; do
    seed "${dialect}_request" "requests/$dialect"
    seed "${dialect}_response" "answers/$dialect"
    seed "${dialect}_error" "answers/$dialect"
    seed "${dialect}_stream" "streams/$dialect"
    seed document "requests/$dialect"
    seed sse "streams/$dialect"
done
