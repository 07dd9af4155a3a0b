//! The frames of an HTTP/2 client as bytes, looked at on their way (RFC 9113, 4.1 and 6.10).
//!
//! The library that serves them tells nobody of a head that does not come to its end: one frame of a header block after
//! the other, or a frame of which a byte comes now and then. [`Frames`] sees by the nine bytes before each payload
//! whether something is under way that only the client can bring to its end. What a `DATA` frame carries is no such
//! thing: a body has bounds of its own.
//!
//! ```text
//! length (3) | type (1) | flags (1) | stream (4) | payload (length)
//! ```

const FRAME_HEAD_BYTES: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;

/// The flag of the last frame of a header block.
const END_HEADERS: u8 = 0x4;

/// The place in a client's bytes, behind the 24 with which it begins.
#[derive(Debug)]
pub struct Frames {
    /// What has come of a frame's head.
    head: [u8; FRAME_HEAD_BYTES],
    come: usize,
    /// So many bytes of a payload are to come.
    left: usize,
    is_data: bool,
    /// Whether the last frame of a header block is to come.
    in_block: bool,
    /// Before the first frame, which is a part of how a connection begins (RFC 9113, 3.4).
    first: bool,
}

/// Whether something is unfinished behind the bytes that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    Nothing,
    /// It began in them.
    Begun,
    /// It began before them.
    Older,
}

impl Frames {
    /// Before the first frame of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self { head: [0; FRAME_HEAD_BYTES], come: 0, left: 0, is_data: false, in_block: false, first: true }
    }

    /// Looks at the next bytes.
    pub fn look(&mut self, mut bytes: &[u8]) -> Tail {
        let mut older = self.is_unfinished();
        while !bytes.is_empty() {
            let taken = if self.left > 0 { self.payload(bytes) } else { self.head(bytes) };
            older &= self.is_unfinished();
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        match self.is_unfinished() {
            false => Tail::Nothing,
            true if older => Tail::Older,
            true => Tail::Begun,
        }
    }

    fn is_unfinished(&self) -> bool {
        self.first || self.in_block || self.come > 0 || (self.left > 0 && !self.is_data)
    }

    fn payload(&mut self, bytes: &[u8]) -> usize {
        let taken = self.left.min(bytes.len());
        self.left -= taken;
        self.first &= self.left > 0;
        taken
    }

    fn head(&mut self, bytes: &[u8]) -> usize {
        let room = self.head.get_mut(self.come..).unwrap_or_default();
        let taken = room.len().min(bytes.len());
        for (place, byte) in room.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.come += taken;
        if self.come == FRAME_HEAD_BYTES {
            let [high, middle, low, kind, flags, ..] = self.head;
            self.come = 0;
            self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
            self.is_data = kind == DATA;
            if matches!(kind, HEADERS | CONTINUATION) {
                self.in_block = flags & END_HEADERS == 0;
            }
            self.first &= self.left > 0;
        }
        taken
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    //! What is unfinished, wherever the bytes are cut.

    use proptest::prelude::*;

    use super::*;

    const PING: u8 = 0x6;
    const SETTINGS: u8 = 0x4;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], &vec![0xff; length.into()][..]].concat()
    }

    /// Behind the first frame of a connection.
    fn begun() -> Frames {
        let mut frames = Frames::new();
        assert_eq!(frames.look(&frame(SETTINGS, 0, 0)), Tail::Nothing);
        frames
    }

    #[track_caller]
    fn check(pieces: &[&[u8]], expected: &[Tail]) {
        let mut frames = begun();
        let found: Vec<_> = pieces.iter().map(|piece| frames.look(piece)).collect();
        assert_eq!(found, expected, "{pieces:?}");
    }

    #[test]
    fn a_connection_begins_with_a_whole_frame() {
        let mut frames = Frames::new();
        let settings = frame(SETTINGS, 0, 6);
        assert_eq!(frames.look(b""), Tail::Older);
        assert_eq!(frames.look(&settings[..9]), Tail::Older);
        assert_eq!(frames.look(&settings[9..14]), Tail::Older);
        assert_eq!(frames.look(&settings[14..]), Tail::Nothing);
        assert_eq!(frames.look(b""), Tail::Nothing);
    }

    #[test]
    fn a_header_block_is_unfinished_until_its_last_frame() {
        let open = frame(HEADERS, 0x1, 5);
        let further = frame(CONTINUATION, 0, 3);
        let last = frame(CONTINUATION, END_HEADERS, 3);
        check(&[&open, &further, &last], &[Tail::Begun, Tail::Older, Tail::Nothing]);
        check(&[&open, &[&last[..], &open].concat()], &[Tail::Begun, Tail::Begun]);
        check(&[&frame(HEADERS, END_HEADERS, 5), &frame(HEADERS, 0, 0)], &[Tail::Nothing, Tail::Begun]);
        check(&[&open, &last[..9], &last[9..]], &[Tail::Begun, Tail::Older, Tail::Nothing]);
    }

    #[test]
    fn a_frame_is_unfinished_until_its_last_byte_unless_it_carries_a_body() {
        let ping = frame(PING, 0, 8);
        check(
            &[&ping[..1], &ping[1..9], &ping[9..16], &ping[16..]],
            &[Tail::Begun, Tail::Older, Tail::Older, Tail::Nothing],
        );
        check(&[&ping[..12], &[&ping[12..], &ping[..1]].concat()], &[Tail::Begun, Tail::Begun]);
        let data = frame(DATA, 0, 8);
        check(
            &[&data[..8], &data[8..9], &data[9..12], &data[12..]],
            &[Tail::Begun, Tail::Nothing, Tail::Nothing, Tail::Nothing],
        );
        check(&[&data[..4], &[&data[4..], &ping[..3]].concat()], &[Tail::Begun, Tail::Begun]);
    }

    proptest! {
        #[test]
        fn pieces_are_seen_as_the_whole(
            told in proptest::collection::vec((0_u8..11, 0_u8..8, 0_u8..30), 0..20),
            cut in 0_usize..600,
            piece in 1_usize..40,
        ) {
            let mut bytes: Vec<u8> = told.iter().flat_map(|(kind, flags, length)| frame(*kind, *flags, *length)).collect();
            bytes.truncate(cut);
            let (mut whole, mut pieces) = (begun(), begun());
            whole.look(&bytes);
            bytes.chunks(piece).for_each(|piece| _ = pieces.look(piece));
            prop_assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
        }
    }
}
