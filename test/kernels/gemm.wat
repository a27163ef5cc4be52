;; C = A * B for n x n matrices of f32, A[i] = i, B[i] = i/2 by index: address arithmetic, float loads, multiply and add.
;; The result is the sum of C.
(module
  (memory 1)
  (func (export "run") (param $n i32) (result f32)
    (local $i i32) (local $j i32) (local $k i32) (local $size i32) (local $sum f32) (local $total f32)
    (local.set $size (i32.mul (local.get $n) (local.get $n)))
    (loop $fill
      (f32.store (i32.shl (local.get $i) (i32.const 2)) (f32.convert_i32_u (local.get $i)))
      (f32.store (i32.shl (i32.add (local.get $size) (local.get $i)) (i32.const 2))
        (f32.mul (f32.convert_i32_u (local.get $i)) (f32.const 0.5)))
      (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $size))))
    (local.set $i (i32.const 0))
    (loop $row
      (local.set $j (i32.const 0))
      (loop $column
        (local.set $sum (f32.const 0))
        (local.set $k (i32.const 0))
        (loop $inner
          (local.set $sum (f32.add (local.get $sum)
            (f32.mul
              (f32.load (i32.shl (i32.add (i32.mul (local.get $i) (local.get $n)) (local.get $k)) (i32.const 2)))
              (f32.load (i32.shl (i32.add (local.get $size)
                (i32.add (i32.mul (local.get $k) (local.get $n)) (local.get $j))) (i32.const 2))))))
          (br_if $inner (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (local.get $n))))
        (f32.store (i32.shl (i32.add (i32.shl (local.get $size) (i32.const 1))
          (i32.add (i32.mul (local.get $i) (local.get $n)) (local.get $j))) (i32.const 2)) (local.get $sum))
        (local.set $total (f32.add (local.get $total) (local.get $sum)))
        (br_if $column (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
      (br_if $row (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $total)))
