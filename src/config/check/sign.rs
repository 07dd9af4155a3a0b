//! `auth.sign` → [`gateway::config::Sign`].

use http::HeaderName;

use super::Check;
use crate::auth::signer;
use crate::config::file;
use crate::config::placed::{Named, Placed};
use crate::config::unit::print_time;
use crate::gateway;
use crate::protocol::metadata;

/// The most audiences: all of them stand in each token.
const MAX_AUDIENCES: usize = 64;

impl Check<'_> {
    /// `forward` are the other names that only the gateway sets.
    pub(super) fn sign(
        &mut self,
        sign: Placed<file::Sign>,
        forward: &Named<Placed<String>>,
    ) -> Option<gateway::config::Sign> {
        let Placed { value: file::Sign { key, ttl, audience, issuer, header, kid }, span } = sign;
        let life = ttl.value.0;
        if !(signer::MIN_TTL..=signer::MAX_TTL).contains(&life) {
            let (min, max) = (print_time(signer::MIN_TTL), print_time(signer::MAX_TTL));
            let message = format!("found `{}` for `ttl`, expected a time from `{min}` to `{max}`", print_time(life));
            self.problems.push(ttl.span, message);
        }
        match audience.value.len() {
            0 => self.problems.push(audience.span, "`audience` is empty: no service could tell that a token is for it"),
            1..=MAX_AUDIENCES => {}
            _ => self.problems.push(audience.span, format!("`audience` has more than {MAX_AUDIENCES}")),
        }
        for (name, text) in [("issuer", Some(&issuer)), ("kid", kid.as_ref())] {
            if let Some(empty) = text.filter(|text| text.value.is_empty()) {
                self.problems.push(empty.span, format!("`{name}` is empty, expected a name"));
            }
        }
        let name = self.sign_header(&header, forward)?;
        let config = signer::Config {
            key: self.path(&key.value),
            ttl: life,
            audience: audience.value,
            issuer: issuer.value,
            header: name,
            key_id: kid.map(|kid| kid.value),
        };
        Some(gateway::config::Sign { place: self.problems.place(span).to_string(), config })
    }

    fn sign_header(&mut self, header: &Placed<String>, forward: &Named<Placed<String>>) -> Option<HeaderName> {
        let name = HeaderName::try_from(&header.value).ok().filter(metadata::is_free);
        let Some(name) = name else {
            let message =
                format!("`{}` is no header for a token, expected `authorization` or one of your own", header.value);
            self.problems.push(header.span, message);
            return None;
        };
        let taken = forward.0.iter().find(|(forwarded, _)| forwarded.value.eq_ignore_ascii_case(name.as_str()));
        if let Some((taken, _)) = taken {
            let message = format!("`auth.sign` sets `{name}` already, expected another name");
            self.problems.push(taken.span, message);
        }
        Some(name)
    }
}
