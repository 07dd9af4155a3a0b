//! `security_headers` of a level → [`Choice`].

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::Check;
use crate::config::file;
use crate::protocol::security_headers::{CROSS_ORIGIN_RESOURCE_POLICY, Choice};

/// What stands for no header.
const OFF: &str = "off";

impl Check<'_> {
    pub(super) fn security_headers(&mut self, said: &file::SecurityHeaders) -> Choice {
        let values = match said {
            file::SecurityHeaders::Switch(on) => return Choice { on: *on, values: Vec::new() },
            file::SecurityHeaders::Values(values) => values,
        };
        let file::SecurityValues {
            cache_control,
            content_security_policy,
            cross_origin_resource_policy,
            referrer_policy,
            strict_transport_security,
            x_content_type_options,
            x_frame_options,
        } = &**values;
        let said = [
            (CACHE_CONTROL, cache_control),
            (CONTENT_SECURITY_POLICY, content_security_policy),
            (CROSS_ORIGIN_RESOURCE_POLICY, cross_origin_resource_policy),
            (REFERRER_POLICY, referrer_policy),
            (STRICT_TRANSPORT_SECURITY, strict_transport_security),
            (X_CONTENT_TYPE_OPTIONS, x_content_type_options),
            (X_FRAME_OPTIONS, x_frame_options),
        ];
        let mut values = Vec::new();
        for (name, text) in said {
            let Some(text) = text else { continue };
            if text.value == OFF {
                values.push((name, None));
                continue;
            }
            match HeaderValue::from_str(&text.value) {
                Ok(value) if !text.value.is_empty() && text.value.is_ascii() => values.push((name, Some(value))),
                Ok(_) | Err(_) => {
                    let message = format!("found `{}` for `{name}`, expected a header's value, or `off`", text.value);
                    self.problems.push(text.span, message);
                }
            }
        }
        Choice { on: true, values }
    }
}
