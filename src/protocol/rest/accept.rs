//! Which form a stream of answers takes, by `Accept` (RFC 9110, section 12.5.1).
//!
//! The range of highest quality decides; of equals the more specific one, then the one listed first. A wildcard means
//! the method's default where it covers it. Where nothing fits, the default is sent: a client that can't read it is no
//! better served by 406.

use http::header::{ACCEPT, HeaderMap, HeaderValue};

/// The setting `stream`: the form where the client has no wish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamFormat {
    /// One JSON array.
    #[default]
    Array,
    /// One message a line.
    Ndjson,
    /// Server-sent events.
    Sse,
}

/// The media type of a stream of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamType {
    Json,
    Ndjson,
    /// The same as `Ndjson` by its other name.
    Jsonl,
    EventStream,
}

impl StreamType {
    const ALL: [Self; 4] = [Self::Json, Self::Ndjson, Self::Jsonl, Self::EventStream];

    /// What the client would rather have.
    #[must_use]
    pub fn negotiate(headers: &HeaderMap, default: StreamFormat) -> Self {
        let default = Self::of(default);
        let mut best: Option<(Rank, Self)> = None;
        let mut refused = [false; Self::ALL.len()];
        for range in headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(ranges) {
            let Some(range) = Range::parse(range) else { continue };
            if let (0, Some(exact)) = (range.quality, range.exact()) {
                refused.iter_mut().zip(Self::ALL).for_each(|(refused, kind)| *refused |= kind == exact);
                continue;
            }
            let Some(kind) = range.choose(default).filter(|_| range.quality > 0) else { continue };
            let rank = (range.quality, range.specificity());
            if best.is_none_or(|(held, _)| rank > held) {
                best = Some((rank, kind));
            }
        }
        let is_refused = |kind: Self| refused.iter().zip(Self::ALL).any(|(refused, each)| *refused && each == kind);
        let wanted = best.map_or(default, |(_, kind)| kind);
        if is_refused(wanted) {
            // A wildcard stood for what another range excludes.
            return Self::ALL.into_iter().find(|&kind| !is_refused(kind)).unwrap_or(default);
        }
        wanted
    }

    /// How messages are framed.
    #[must_use]
    pub const fn format(self) -> StreamFormat {
        match self {
            Self::Json => StreamFormat::Array,
            Self::Ndjson | Self::Jsonl => StreamFormat::Ndjson,
            Self::EventStream => StreamFormat::Sse,
        }
    }

    /// The `Content-Type` of the answer.
    #[must_use]
    pub const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    const fn of(format: StreamFormat) -> Self {
        match format {
            StreamFormat::Array => Self::Json,
            StreamFormat::Ndjson => Self::Ndjson,
            StreamFormat::Sse => Self::EventStream,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Jsonl => "application/jsonl",
            Self::EventStream => "text/event-stream",
        }
    }
}

/// Quality in thousandths, then specificity.
type Rank = (u16, u8);

/// One media range and its quality in thousandths.
#[derive(Clone, Copy, Debug)]
struct Range<'a> {
    essence: &'a str,
    quality: u16,
}

impl<'a> Range<'a> {
    /// `None` for a quality that can't be read: such a range says nothing.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?;
        let quality = parts.filter_map(|parameter| parameter.split_once('='));
        let quality = quality.map(|(name, value)| (name.trim(), value.trim()));
        let mut quality =
            quality.filter(|(name, _)| name.eq_ignore_ascii_case("q")).map(|(_, value)| parse_quality(value));
        Some(Self { essence, quality: quality.next().unwrap_or(Some(1000))? })
    }

    fn exact(self) -> Option<StreamType> {
        StreamType::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(self.essence))
    }

    /// The type that this range stands for.
    fn choose(self, default: StreamType) -> Option<StreamType> {
        if let Some(exact) = self.exact() {
            return Some(exact);
        }
        let (kind, subtype) = self.essence.split_once('/')?;
        match (kind, subtype) {
            ("*", "*") => Some(default),
            (kind, "*") => {
                let covers = |each: &StreamType| {
                    each.name().split_once('/').is_some_and(|(own, _)| own.eq_ignore_ascii_case(kind))
                };
                [default].into_iter().chain(StreamType::ALL).find(covers)
            }
            _ => None,
        }
    }

    fn specificity(self) -> u8 {
        match self.essence.split_once('/') {
            Some(("*", _)) => 0,
            Some((_, "*")) => 1,
            _ => 2,
        }
    }
}

/// The ranges of one value. A quoted string in a parameter may hold a comma.
fn ranges(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
}

/// `0` to `1` with at most three decimals.
fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, thousandths) {
        ("0", _) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
