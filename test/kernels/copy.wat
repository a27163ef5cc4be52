;; Copying and filling at all alignments, of up to n bytes, onto itself in both directions, each mixed into a hash of the memory:
;; for the chip they are written in assembly.
(module
  (memory 1)
  (global $hash (mut i32) (i32.const 0))
  ;; Makes 160 bytes different from one another, and from those of another seed.
  (func $pattern (param $seed i32)
    (local $at i32)
    (loop $next
      (i32.store (local.get $at) (local.tee $seed (i32.add (i32.mul (local.get $seed) (i32.const 1664525)) (i32.const 1013904223))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 160)))))
  (func $mix
    (local $at i32)
    (loop $next
      (global.set $hash (i32.add (i32.rotl (i32.mul (global.get $hash) (i32.const 31)) (i32.const 7)) (i32.load (local.get $at))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 160)))))
  (func (export "run") (param $n i32) (result i32)
    (local $to i32) (local $from i32) (local $bytes i32)
    (global.set $hash (i32.const 0))
    (loop $each
      (local.set $from (i32.const 0))
      (loop $source
        (local.set $to (i32.const 0))
        (loop $target
          (call $pattern (i32.add (i32.mul (local.get $bytes) (i32.const 81)) (i32.add (i32.mul (local.get $from) (i32.const 9)) (local.get $to))))
          (memory.copy (i32.add (i32.const 32) (local.get $to)) (i32.add (i32.const 32) (local.get $from)) (local.get $bytes))
          (memory.copy (i32.add (i32.const 36) (local.get $to)) (i32.add (i32.const 32) (local.get $from)) (local.get $bytes))
          (memory.fill (i32.add (i32.const 100) (local.get $to)) (i32.sub (local.get $bytes) (i32.const 300)) (local.get $bytes))
          (call $mix)
          (br_if $target (i32.lt_u (local.tee $to (i32.add (local.get $to) (i32.const 1))) (i32.const 9))))
        (br_if $source (i32.lt_u (local.tee $from (i32.add (local.get $from) (i32.const 1))) (i32.const 5))))
      (br_if $each (i32.le_u (local.tee $bytes (i32.add (local.get $bytes) (i32.const 1))) (local.get $n))))
    (global.get $hash)))
