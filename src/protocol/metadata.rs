//! Stand-in until the module arrives.

/// Which headers pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

/// An entry that names no header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRuleError {
    pub entry: String,
}

impl HeaderRules {
    /// Names are header names, or their beginnings followed by `*`.
    ///
    /// # Errors
    ///
    /// Every entry that is neither.
    pub fn compile(allow: Option<&[String]>, deny: &[String]) -> Result<Self, Vec<HeaderRuleError>> {
        let legal = |entry: &&String| {
            let name = entry.strip_suffix('*').unwrap_or(entry);
            name.is_empty() || http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        };
        let all = allow.unwrap_or_default().iter().chain(deny);
        let errors: Vec<_> =
            all.filter(|entry| !legal(entry)).map(|entry| HeaderRuleError { entry: entry.clone() }).collect();
        if errors.is_empty() {
            Ok(Self { allow: allow.map(<[String]>::to_vec), deny: deny.to_vec() })
        } else {
            Err(errors)
        }
    }
}
