//! Why a credential was refused.
//!
//! For the log and the metrics alone: the client learns that it was refused, not why. A reason is one word of a closed
//! set and carries nothing of the credential.

use std::fmt;

/// Why a credential was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It has not the form that its kind has, or is larger than one may be.
    Malformed,
    /// More than one credential where one is expected.
    Several,
    /// A token that asks for what is not done here: critical extensions, keys in its header, encryption, another type.
    Unsupported,
    /// The token's algorithm is not its key's.
    WrongAlgorithm,
    /// No key of the issuer has the token's `kid`, or fits its algorithm.
    UnknownKey,
    BadSignature,
    WrongIssuer,
    WrongAudience,
    /// A claim that every token must have is missing.
    MissingClaim,
    Expired,
    /// Before the token's `nbf`.
    NotYetValid,
    /// The introspection endpoint says that the token is not active.
    Inactive,
    UnknownApiKey,
    /// No name of the client's certificate matches a pattern.
    UnmatchedCertificate,
    /// What would judge the credential can't be reached: no fault of the client, 503 instead of 401.
    Unavailable,
}

impl Reason {
    /// Every reason, for metrics that begin at zero.
    pub const ALL: [Self; 15] = [
        Self::Malformed,
        Self::Several,
        Self::Unsupported,
        Self::WrongAlgorithm,
        Self::UnknownKey,
        Self::BadSignature,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::MissingClaim,
        Self::Expired,
        Self::NotYetValid,
        Self::Inactive,
        Self::UnknownApiKey,
        Self::UnmatchedCertificate,
        Self::Unavailable,
    ];

    /// The word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Several => "several",
            Self::Unsupported => "unsupported",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::MissingClaim => "missing_claim",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Inactive => "inactive",
            Self::UnknownApiKey => "unknown_api_key",
            Self::UnmatchedCertificate => "unmatched_certificate",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
