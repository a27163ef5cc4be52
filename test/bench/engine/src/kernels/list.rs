//! A linked list that is searched, reversed and sorted by merging: the list work of CoreMark.
use super::{Kernel, digest};

const COUNT: usize = 96;
const ROUNDS: usize = 6;
/// The end of a list.
const END: i16 = -1;

arrays! {
    next: [i16; COUNT],
    value: [i16; COUNT],
    place: [i16; COUNT],
    result: [i32; ROUNDS],
}

/// How many nodes lie before the first with this value; all of them where there is none.
fn find(next: &[i16; COUNT], values: &[i16; COUNT], head: i16, value: i16) -> i32 {
    let mut steps = 0;
    let mut node = head;
    while node != END && values[node as usize] != value {
        node = next[node as usize];
        steps += 1;
    }
    steps
}

fn reverse(next: &mut [i16; COUNT], mut head: i16) -> i16 {
    let mut done = END;
    while head != END {
        let rest = next[head as usize];
        next[head as usize] = done;
        done = head;
        head = rest;
    }
    done
}

/// Sorts by the numbers in `key`: merges runs of 1, 2, 4, … nodes.
fn sort(next: &mut [i16; COUNT], mut head: i16, key: &[i16; COUNT]) -> i16 {
    let mut run = 1;
    loop {
        let (mut left, mut tail, mut merges) = (head, END, 0);
        head = END;
        while left != END {
            merges += 1;
            let (mut right, mut lefts) = (left, 0);
            while lefts < run && right != END {
                lefts += 1;
                right = next[right as usize];
            }
            let mut rights = run;
            while lefts > 0 || (rights > 0 && right != END) {
                let node;
                if lefts > 0
                    && (rights == 0 || right == END || key[left as usize] <= key[right as usize])
                {
                    node = left;
                    left = next[left as usize];
                    lefts -= 1;
                } else {
                    node = right;
                    right = next[right as usize];
                    rights -= 1;
                }
                if tail == END {
                    head = node;
                } else {
                    next[tail as usize] = node;
                }
                tail = node;
            }
            left = right;
        }
        next[tail as usize] = END;
        if merges <= 1 {
            return head;
        }
        run <<= 1;
    }
}

impl Kernel for Arrays {
    fn setup(&mut self) {
        let mut random: i32 = 0x3415;
        for node in 0..COUNT {
            random = random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            self.value[node] = ((random >> 16) & 0xfff) as i16;
            self.place[node] = node as i16;
            self.next[node] = if node + 1 < COUNT {
                node as i16 + 1
            } else {
                END
            };
        }
    }

    fn run(&mut self) {
        let Self {
            next,
            value,
            place,
            result,
        } = self;
        let mut head = 0;
        for round in result {
            let mut found = 0;
            for node in (0..COUNT).step_by(8) {
                found += find(next, value, head, value[node] + (node & 8) as i16);
            }
            head = reverse(next, head);
            head = sort(next, head, value);
            let smallest = value[head as usize];
            head = sort(next, head, place);
            *round = found * 31 + i32::from(smallest);
        }
    }

    fn checksum(&self) -> i32 {
        let pairs = self.next.chunks_exact(2);
        let words = pairs.map(|pair| u32::from(pair[0] as u16) | u32::from(pair[1] as u16) << 16);
        digest(self.result.iter().map(|result| result.cast_unsigned())) ^ digest(words)
    }
}
