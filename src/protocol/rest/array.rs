//! A stream of answers as one JSON array.
//!
//! A stream that fails after its head is left without its `]`, and the connection or stream is reset, so that no client
//! takes it for whole.

/// How far the array has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArrayWriter {
    #[default]
    Empty,
    /// At least one element stands in it.
    Begun,
}

impl ArrayWriter {
    /// Before each message: what separates it from what came before.
    pub fn open(&mut self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Empty => b'[',
            Self::Begun => b',',
        });
        *self = Self::Begun;
    }

    /// After the last message of a stream that ended well.
    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Empty => b"[]",
            Self::Begun => b"]",
        });
    }
}

#[cfg(test)]
mod tests;
