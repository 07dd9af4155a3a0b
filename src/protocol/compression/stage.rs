//! One coding taken off a stream of bytes, by pulling.
//!
//! A stage knows three answers: a piece, nothing before more came, and the end. Stages stand in a row, each fed with
//! the pieces of the one before it.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use flate2::write::GzDecoder;

use super::{Coding, PIECE_BYTES};

/// 8 MiB, what RFC 9659 has every zstd content coding keep to.
const ZSTD_WINDOW_LOG: u32 = 23;
/// How a brotli stream of the large-window extension begins, in seven bits; the decoder would take up to 1 GiB for one.
const BROTLI_LARGE_WINDOW: u8 = 0x11;
const BROTLI_INPUT_BYTES: usize = 4096;
/// Members of a gzip stream that are free; of more, each must be so long: beginning one costs as much as inflating tens
/// of KiB, and twenty bytes make an empty one.
pub(super) const FREE_MEMBERS: u64 = 1000;
pub(super) const MEMBER_BYTES: u64 = 1 << 10;

/// What a stage has to give.
pub(super) enum Pull {
    Piece(Bytes),
    /// More must come first.
    Pending,
    End,
}

/// One coding's decoder and what it has not read yet.
pub(super) enum Stage {
    Identity(Feed),
    /// flate2's reader keeps inflated bytes back until more input comes, its writer can be flushed.
    Gzip(Box<Gzip>),
    Brotli(Box<Reading<brotli::Decompressor<Feed>>>),
    Zstd(Box<Reading<zstd::stream::read::Decoder<'static, Feed>>>),
    /// The decoder could not be made, or must not run.
    Failed(Option<io::Error>),
}

/// Why there is no piece.
pub(super) enum Failure {
    Broken(io::Error),
    /// The last stage has given more than it may.
    Excess,
    /// One before it has.
    ExcessWithin,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// A stage, and how many bytes it has given.
pub(super) struct Counted {
    stage: Stage,
    given: u64,
}

/// How many bytes stages may give in all.
#[derive(Clone, Copy)]
pub(super) struct Most {
    /// The last one.
    pub(super) last: u64,
    /// Each one before it: what it gives may come to nothing in the next, and still has to be read.
    pub(super) within: u64,
}

/// A piece of the last stage, for which the stages before it are pulled as far as it takes.
pub(super) fn pull(stages: &mut [Counted], most: Most) -> Result<Pull, Failure> {
    let Some((last, before)) = stages.split_last_mut() else { return Ok(Pull::Pending) };
    loop {
        match last.stage.pull()? {
            Pull::Pending if before.is_empty() => return Ok(Pull::Pending),
            Pull::Pending => match pull_within(before, most.within)? {
                Pull::Piece(piece) => last.stage.push(piece),
                Pull::End => last.stage.end(),
                Pull::Pending => return Ok(Pull::Pending),
            },
            Pull::Piece(piece) => {
                last.given = last.given.saturating_add(piece.len() as u64);
                return if last.given <= most.last { Ok(Pull::Piece(piece)) } else { Err(Failure::Excess) };
            }
            Pull::End => return Ok(Pull::End),
        }
    }
}

fn pull_within(stages: &mut [Counted], most: u64) -> Result<Pull, Failure> {
    pull(stages, Most { last: most, within: most }).map_err(|failure| match failure {
        Failure::Excess | Failure::ExcessWithin => Failure::ExcessWithin,
        Failure::Broken(error) => Failure::Broken(error),
    })
}

impl Counted {
    pub(super) fn new(stage: Stage) -> Self {
        Self { stage, given: 0 }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.stage.push(chunk);
    }

    pub(super) fn end(&mut self) {
        self.stage.end();
    }
}

impl Stage {
    pub(super) fn identity() -> Self {
        Self::Identity(Feed::default())
    }

    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Box::new(Gzip {
                decoder: GzDecoder::new(Vec::new()),
                feed: Feed::default(),
                phase: Phase::Running,
                members: 1,
                read: 0,
            })),
            Coding::Brotli => {
                Self::Brotli(Box::new(Reading::new(brotli::Decompressor::new(Feed::default(), BROTLI_INPUT_BYTES))))
            }
            Coding::Zstd => match zstd_decoder() {
                Ok(decoder) => Self::Zstd(Box::new(Reading::new(decoder))),
                Err(error) => Self::Failed(Some(error)),
            },
        }
    }

    fn push(&mut self, chunk: Bytes) {
        let Some(&first) = chunk.first() else { return };
        let is_brotli = matches!(self, Self::Brotli(_));
        let Some(feed) = self.feed() else { return };
        let begins = matches!(feed.began, Began::No);
        feed.began = Began::Yes;
        feed.chunks.push_back(chunk);
        if is_brotli && begins && first & 0x7f == BROTLI_LARGE_WINDOW {
            let error = io::Error::new(io::ErrorKind::InvalidData, "brotli with a large window");
            *self = Self::Failed(Some(error));
        }
    }

    fn end(&mut self) {
        if let Some(feed) = self.feed() {
            feed.input = Input::Ended;
        }
    }

    fn feed(&mut self) -> Option<&mut Feed> {
        match self {
            Self::Identity(feed) => Some(feed),
            Self::Gzip(gzip) => Some(&mut gzip.feed),
            Self::Brotli(reading) => Some(reading.decoder.get_mut()),
            Self::Zstd(reading) => Some(reading.decoder.get_mut()),
            Self::Failed(_) => None,
        }
    }

    fn pull(&mut self) -> io::Result<Pull> {
        // No byte at all is no body: it has no coding that could be broken.
        if let Some(Feed { began: Began::No, input, .. }) = self.feed() {
            return Ok(input.pull_nothing());
        }
        match self {
            Self::Identity(feed) => Ok(feed.chunks.pop_front().map_or(feed.input.pull_nothing(), Pull::Piece)),
            Self::Gzip(gzip) => gzip.pull(),
            Self::Brotli(reading) => reading.pull(brotli::Decompressor::get_mut),
            Self::Zstd(reading) => reading.pull(zstd::stream::read::Decoder::get_mut),
            Self::Failed(error) => Err(error.take().unwrap_or_else(|| io::ErrorKind::Other.into())),
        }
    }
}

fn zstd_decoder() -> io::Result<zstd::stream::read::Decoder<'static, Feed>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(Feed::default())?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// Input that came and was not read. Reading it when it is empty would block, unless it has ended.
#[derive(Default)]
pub(super) struct Feed {
    chunks: VecDeque<Bytes>,
    input: Input,
    began: Began,
}

#[derive(Clone, Copy, Default)]
enum Input {
    #[default]
    Open,
    Ended,
}

impl Input {
    fn pull_nothing(self) -> Pull {
        match self {
            Self::Open => Pull::Pending,
            Self::Ended => Pull::End,
        }
    }
}

#[derive(Clone, Copy, Default)]
enum Began {
    #[default]
    No,
    Yes,
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match (self.chunks.front(), self.input) {
            (Some(chunk), _) => Ok(chunk),
            (None, Input::Ended) => Ok(&[]),
            (None, Input::Open) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn consume(&mut self, amount: usize) {
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.advance(amount);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Running,
    /// The coding's own end was read.
    Ended,
}

/// A decoder that reads from its feed.
pub(super) struct Reading<D> {
    decoder: D,
    scratch: BytesMut,
    phase: Phase,
}

impl<D: Read> Reading<D> {
    fn new(decoder: D) -> Self {
        Self { decoder, scratch: BytesMut::new(), phase: Phase::Running }
    }

    fn pull(&mut self, feed: fn(&mut D) -> &mut Feed) -> io::Result<Pull> {
        if let Phase::Ended = self.phase {
            return self.pull_behind_end(feed);
        }
        if self.scratch.len() < PIECE_BYTES / 8 {
            self.scratch = BytesMut::zeroed(PIECE_BYTES);
        }
        match self.decoder.read(&mut self.scratch) {
            Ok(0) => {
                self.phase = Phase::Ended;
                self.pull_behind_end(feed)
            }
            Ok(read) => Ok(Pull::Piece(self.scratch.split_to(read).freeze())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Pull::Pending),
            Err(error) => Err(error),
        }
    }

    fn pull_behind_end(&mut self, feed: fn(&mut D) -> &mut Feed) -> io::Result<Pull> {
        // The decoder itself reports what stands behind the end in bytes that it has read already.
        if self.decoder.read(&mut [0])? != 0 || !feed(&mut self.decoder).chunks.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes stand behind the end"));
        }
        Ok(feed(&mut self.decoder).input.pull_nothing())
    }
}

/// A decoder that writes to a vector what it is given, about [`PIECE_BYTES`] at a time.
pub(super) struct Gzip {
    decoder: GzDecoder<Vec<u8>>,
    feed: Feed,
    phase: Phase,
    members: u64,
    /// Bytes that were read.
    read: u64,
}

impl Gzip {
    fn pull(&mut self) -> io::Result<Pull> {
        while let Some(chunk) = self.feed.chunks.front() {
            let mut read = self.decoder.write(chunk)?;
            if read == 0 {
                // The member is over, and its checksum right: another begins.
                self.decoder.try_finish()?;
                self.members += 1;
                if self.members > FREE_MEMBERS + self.read / MEMBER_BYTES {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "too many short members of gzip"));
                }
                self.decoder = GzDecoder::new(std::mem::take(self.decoder.get_mut()));
                read = self.decoder.write(chunk)?;
            }
            if read == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.read += read as u64;
            self.feed.consume(read);
            if let Some(piece) = self.take_piece(PIECE_BYTES / 2) {
                return Ok(piece);
            }
        }
        match (self.phase, self.feed.input) {
            (Phase::Running, Input::Open) => self.decoder.flush()?,
            (Phase::Running, Input::Ended) => {
                self.decoder.try_finish()?;
                self.phase = Phase::Ended;
            }
            (Phase::Ended, _) => {}
        }
        Ok(self.take_piece(1).unwrap_or(self.feed.input.pull_nothing()))
    }

    fn take_piece(&mut self, at_least: usize) -> Option<Pull> {
        let inflated = self.decoder.get_mut();
        (inflated.len() >= at_least).then(|| Pull::Piece(std::mem::take(inflated).into()))
    }
}
