//! Stand-in until the module arrives.

/// Which headers pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    allow: Option<Vec<Box<str>>>,
    deny: Vec<Box<str>>,
}

impl HeaderRules {
    /// Names are header names, or their beginnings followed by `*`.
    ///
    /// # Errors
    ///
    /// The first entry that is neither.
    pub fn new(allow: Option<&[&str]>, deny: &[&str]) -> Result<Self, String> {
        let parse = |list: &[&str]| -> Result<Vec<Box<str>>, String> {
            list.iter()
                .map(|entry| {
                    let name = entry.strip_suffix('*').unwrap_or(entry);
                    if name.is_empty() || http::HeaderName::from_bytes(name.as_bytes()).is_ok() {
                        Ok(entry.to_ascii_lowercase().into())
                    } else {
                        Err((*entry).to_owned())
                    }
                })
                .collect()
        };
        Ok(Self { allow: allow.map(parse).transpose()?, deny: parse(deny)? })
    }
}
