#!/bin/sh
# Compiles the engine, EDHOC, OSCORE and the node with libFuzzer's coverage counters: Cargo's RUSTC_WORKSPACE_WRAPPER. All else, such as the other validator
# and the targets themselves, is not what is to be covered.
case " $* " in
  *" --crate-name wasmote_engine "* | *" --crate-name wasmote_edhoc "* | *" --crate-name wasmote_oscore "* | *" --crate-name wasmote_node "*)
    set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
      -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
