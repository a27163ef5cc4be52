//! A buffer that DMA fills in a circle, for ever: what has come, and whether the reader was overtaken.

/// The reader of a circle of `N` bytes.
#[derive(Debug)]
pub struct Circle<const N: usize> {
    read: usize,
    /// Ends of halves among what was put back, which DMA has told of before.
    told: u32,
}

impl<const N: usize> Default for Circle<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Circle<N> {
    /// Nothing has come.
    pub const fn new() -> Self {
        Self { read: 0, told: 0 }
    }

    /// Reads on. `left` is how many bytes DMA has until it begins anew (its NDTR); `halves` how often it has told since the last
    /// call that it filled a half. Returns the places of the new bytes, in order, and how many were overwritten unread: in that case
    /// old and new bytes are mixed, and all of them are skipped.
    ///
    /// A half that is told a little before or after it is seen in `left` is no lap: that takes two of them.
    pub fn advance(
        &mut self,
        left: usize,
        halves: u32,
    ) -> (impl Iterator<Item = usize> + use<N>, usize) {
        let start = self.read;
        let halves = halves.saturating_add(core::mem::take(&mut self.told));
        let write = N.saturating_sub(left) % N;
        let come = (N + write - start) % N;
        self.read = write;
        // Ends of halves between the reader and DMA, if there was no lap.
        let expected = (start + come) / (N / 2) - start / (N / 2);
        let laps = (halves as usize).saturating_sub(expected) / 2;
        let (taken, lost) = if laps == 0 {
            (come, 0)
        } else {
            (0, laps * N + come)
        };
        ((start..start + taken).map(|at| at % N), lost)
    }

    /// The last so many of the places that [`Self::advance`] just gave were not read: they are given again.
    pub fn put_back(&mut self, count: usize) {
        self.read = (self.read + N - count % N) % N;
        self.told = ((self.read + count % N) / (N / 2) - self.read / (N / 2)) as u32;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// DMA that writes numbered bytes into a circle, and a reader beside it.
    struct Line {
        bytes: [u8; 16],
        written: usize,
        halves: u32,
        circle: Circle<16>,
    }

    impl Line {
        fn new() -> Self {
            Self {
                bytes: [0; 16],
                written: 0,
                halves: 0,
                circle: Circle::new(),
            }
        }
        fn write(&mut self, count: usize) {
            for _ in 0..count {
                if let Some(place) = self.bytes.get_mut(self.written % 16) {
                    *place = self.written as u8;
                }
                self.written += 1;
                self.halves += u32::from(self.written.is_multiple_of(8));
            }
        }
        fn read(&mut self) -> (Vec<u8>, usize) {
            let left = 16 - self.written % 16;
            let (places, lost) = self.circle.advance(left, core::mem::take(&mut self.halves));
            let bytes = places.filter_map(|at| self.bytes.get(at).copied());
            (bytes.collect(), lost)
        }
    }

    #[test]
    fn all_that_comes_is_read_once_and_in_order() {
        let mut line = Line::new();
        let mut read = Vec::new();
        let mut seed = 1_u32;
        for _ in 0..1000 {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            line.write((seed >> 16) as usize % 16);
            let (bytes, lost) = line.read();
            assert_eq!(lost, 0);
            read.extend(bytes);
        }
        let expected: Vec<u8> = (0..line.written).map(|n| n as u8).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_put_back_is_read_later_and_lost_when_that_is_too_late() {
        let mut seed = 7_u32;
        let mut random = |limit: usize| {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (seed >> 16) as usize % limit
        };
        let mut line = Line::new();
        // The number of the next byte that the reader has not seen.
        let mut expected = 0;
        for _ in 0..5000 {
            line.write(random(20));
            let (bytes, lost) = line.read();
            if line.written - expected < 16 {
                // Nothing was overtaken: all that is there, in order.
                assert_eq!((bytes.len(), lost), (line.written - expected, 0));
                for (at, byte) in bytes.iter().enumerate() {
                    assert_eq!(*byte, (expected + at) as u8);
                }
                let back = random(bytes.len() + 1);
                line.circle.put_back(back);
                expected = line.written - back;
            } else {
                assert_eq!((bytes.len(), lost), (0, line.written - expected));
                expected = line.written;
            }
        }
    }

    #[test]
    fn a_reader_that_was_overtaken_is_told_how_much_it_lost() {
        for late in 16..80 {
            for before in 0..16 {
                let mut line = Line::new();
                line.write(before);
                assert_eq!(line.read().0.len(), before);
                line.write(late);
                assert_eq!(line.read(), (Vec::new(), late), "{before}, {late}");
                line.write(3);
                let (bytes, lost) = line.read();
                assert_eq!((bytes.len(), lost), (3, 0));
            }
        }
    }

    #[test]
    fn a_half_told_early_or_late_is_no_lap() {
        let mut line = Line::new();
        line.write(9);
        line.halves = 0;
        assert_eq!(line.read().0.len(), 9);
        line.write(2);
        line.halves = 1;
        assert_eq!(line.read(), ([9, 10].to_vec(), 0));
    }

    #[test]
    fn a_count_that_no_dma_shows_is_within_the_circle() {
        let (places, lost) = Circle::<16>::new().advance(usize::MAX, 0);
        assert_eq!((places.count(), lost), (0, 0));
    }
}
