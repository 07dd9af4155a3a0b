//! The frames of HTTP/2 as bytes, looked at on their way to or from a client (RFC 9113, 4.1 and 6.10).
//!
//! The library that serves them tells nobody of a head that does not come to its end: one frame of a header block after
//! the other, or a frame of which a byte comes now and then. [`Frames`] sees by the nine bytes before each payload
//! whether something is under way that only the client can bring to its end. What a `DATA` frame carries is no such
//! thing: a body has bounds of its own. Nor does the library tell how many frames come that are no body, and whether
//! what goes out is some of an answer.
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

/// The flag of a frame whose payload begins with the length of a padding.
const PADDED: u8 = 0x8;

/// The longest payload that may be padding alone, with its length.
const LONGEST_PADDING_BYTES: usize = 256;

/// The place in the bytes of one side; of a client's, behind the 24 with which it begins.
#[derive(Debug)]
pub struct Frames {
    /// What has come of a frame's head.
    head: [u8; FRAME_HEAD_BYTES],
    come: usize,
    /// So many bytes of a payload are to come.
    left: usize,
    kind: u8,
    /// Whether the last frame of a header block is to come.
    in_block: bool,
    /// Before the first frame, which is a part of how a connection begins (RFC 9113, 3.4).
    first: bool,
}

/// What was seen in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub tail: Tail,
    /// Whether some of them are of a request or an answer, its head or its body.
    pub is_message: bool,
    /// The frames whose head ends in them and that carry nothing of a body, or may carry only padding.
    pub bare: u32,
}

/// Whether something is unfinished behind the bytes that were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    #[default]
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
        Self { head: [0; FRAME_HEAD_BYTES], come: 0, left: 0, kind: DATA, in_block: false, first: true }
    }

    /// Looks at the next bytes.
    pub fn look(&mut self, mut bytes: &[u8]) -> Seen {
        let mut older = self.is_unfinished();
        let mut seen = Seen::default();
        while !bytes.is_empty() {
            let taken = if self.left > 0 { self.payload(bytes) } else { self.head(bytes, &mut seen) };
            // Of a frame whose head is not whole, the kind is not known.
            seen.is_message |= self.come == 0 && matches!(self.kind, DATA | HEADERS | CONTINUATION);
            older &= self.is_unfinished();
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        seen.tail = match self.is_unfinished() {
            false => Tail::Nothing,
            true if older => Tail::Older,
            true => Tail::Begun,
        };
        seen
    }

    fn is_unfinished(&self) -> bool {
        self.first || self.in_block || self.come > 0 || (self.left > 0 && self.kind != DATA)
    }

    fn payload(&mut self, bytes: &[u8]) -> usize {
        let taken = self.left.min(bytes.len());
        self.left -= taken;
        self.first &= self.left > 0;
        taken
    }

    fn head(&mut self, bytes: &[u8], seen: &mut Seen) -> usize {
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
            self.kind = kind;
            let padding = if flags & PADDED == 0 { 0 } else { LONGEST_PADDING_BYTES };
            seen.bare += u32::from(kind != DATA || self.left <= padding);
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
        assert_eq!(frames.look(&frame(SETTINGS, 0, 0)).tail, Tail::Nothing);
        frames
    }

    #[track_caller]
    fn check(pieces: &[&[u8]], expected: &[Tail]) {
        let mut frames = begun();
        let found: Vec<_> = pieces.iter().map(|piece| frames.look(piece).tail).collect();
        assert_eq!(found, expected, "{pieces:?}");
    }

    #[test]
    fn a_connection_begins_with_a_whole_frame() {
        let mut frames = Frames::new();
        let settings = frame(SETTINGS, 0, 6);
        assert_eq!(frames.look(b"").tail, Tail::Older);
        assert_eq!(frames.look(&settings[..9]).tail, Tail::Older);
        assert_eq!(frames.look(&settings[9..14]).tail, Tail::Older);
        assert_eq!(frames.look(&settings[14..]).tail, Tail::Nothing);
        assert_eq!(frames.look(b"").tail, Tail::Nothing);
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

    #[track_caller]
    fn seen(bytes: &[u8], is_message: bool, bare: u32) {
        let found = begun().look(bytes);
        assert_eq!((found.is_message, found.bare), (is_message, bare), "{bytes:?}");
    }

    #[test]
    fn only_heads_and_bodies_are_a_message() {
        seen(&[frame(PING, 1, 8), frame(SETTINGS, 1, 0), frame(0x8, 0, 4)].concat(), false, 3);
        seen(&[frame(PING, 1, 8), frame(HEADERS, END_HEADERS, 8)].concat(), true, 2);
        seen(&frame(CONTINUATION, END_HEADERS, 8), true, 1);
        seen(&frame(DATA, 0, 1), true, 0);
        // What it will be is not known, and told once.
        seen(&frame(DATA, 0, 1)[..8], false, 0);
        let mut frames = begun();
        frames.look(&frame(DATA, 0, 9)[..9]);
        assert!(frames.look(&[0; 4]).is_message);
        assert!(!frames.look(b"").is_message);
    }

    #[test]
    fn what_carries_nothing_of_a_body_is_bare() {
        const END_STREAM: u8 = 0x1;
        seen(&[frame(0xee, 0, 0), frame(0xee, 0xff, 200), frame(0x2, 0, 5), frame(0x3, 0, 4)].concat(), false, 4);
        seen(&[frame(DATA, 0, 0), frame(DATA, END_STREAM, 0), frame(DATA, 0, 5)].concat(), true, 2);
        let long = |length: u16| {
            [
                &[0, length.to_be_bytes()[0], length.to_be_bytes()[1], DATA, PADDED, 0, 0, 0, 1],
                &[0; 300][..length.into()],
            ]
            .concat()
        };
        seen(&long(256), true, 1);
        seen(&long(257), true, 0);
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
            let seen = whole.look(&bytes);
            let parts: Vec<_> = bytes.chunks(piece).map(|piece| pieces.look(piece)).collect();
            prop_assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
            prop_assert_eq!(parts.iter().map(|seen| seen.bare).sum::<u32>(), seen.bare);
            prop_assert_eq!(parts.iter().any(|seen| seen.is_message), seen.is_message);
        }
    }
}
