//! The export section, and that no name comes twice in it.
use super::scratch::Forward;
use super::validator::Validator;
use crate::load::Fault;
use crate::reader::{Load, Reader};

impl Validator<'_> {
    pub(super) fn exports(&mut self, s: &mut Reader<'_>) -> Load<()> {
        self.out.exports_at = s.at as u32;
        let n = s.u32()?;
        for index in 0..n {
            let start = s.at as u32;
            s.name()?;
            self.here = start;
            match self.forward.get_mut(index as usize) {
                Some(slot) => slot.entry = start,
                None => return self.err(&Fault::Unsupported("too many exports")),
            }
            self.here = s.at as u32;
            let kind = s.byte()?;
            let item = s.u32()?;
            match kind {
                0 => {
                    self.signature(item)?;
                    self.declare(item);
                }
                1 => drop(self.table_element(item)?),
                2 if item == 0 && self.out.memory.is_some() => {}
                2 => return self.err(&Fault::Invalid("unknown memory")),
                3 => drop(self.global(item)?),
                _ => return self.err(&Fault::Malformed("malformed export kind")),
            }
        }
        match self.repeated(n) {
            Some(at) => {
                self.here = at;
                self.err(&Fault::Invalid("duplicate export name"))
            }
            None => Ok(()),
        }
    }

    /// The place of the first export whose name another before it has, among those noted in the scratch space: they are
    /// sorted (a heap sort: its worst case is its usual one), and compared with their neighbours.
    fn repeated(&mut self, count: u32) -> Option<u32> {
        let bytes = self.bytes;
        let key = |slot: &Forward| {
            let mut r = Reader::new(bytes, slot.entry as usize, bytes.len());
            (r.name().unwrap_or(""), slot.entry)
        };
        let heap = self.forward.get_mut(..count as usize)?;
        let sink = |heap: &mut [Forward], mut at: usize| {
            loop {
                let child = 2 * at + 1;
                let larger = match (heap.get(child), heap.get(child + 1)) {
                    (Some(left), Some(right)) if key(left) < key(right) => child + 1,
                    (Some(_), _) => child,
                    (None, _) => return,
                };
                let sunk = heap
                    .get(at)
                    .zip(heap.get(larger))
                    .is_none_or(|(parent, child)| key(parent) >= key(child));
                if sunk {
                    return;
                }
                heap.swap(at, larger);
                at = larger;
            }
        };
        for at in (0..heap.len() / 2).rev() {
            sink(heap, at);
        }
        for end in (1..heap.len()).rev() {
            heap.swap(0, end);
            if let Some(rest) = heap.get_mut(..end) {
                sink(rest, 0);
            }
        }
        heap.iter()
            .zip(heap.iter().skip(1))
            .filter(|(one, next)| key(one).0 == key(next).0)
            .map(|(_, next)| next.entry)
            .min()
    }
}
