//! Product pictures: what may be uploaded, and the drawing of a product that has none.

use super::details::{Failure, Violations};
use super::fingerprint;
use crate::pb::google::api::HttpBody;
use crate::pb::shop::catalog::v1::Product;

const MAX_BYTES: usize = 1024 * 1024;

/// A picture that may be stored.
pub(crate) fn check(picture: HttpBody) -> Result<HttpBody, Failure> {
    let mut violations = Violations::default();
    if !picture.content_type.starts_with("image/") {
        let description = format!("`{}` is not an `image/*` type", picture.content_type);
        violations.add("picture.contentType", "UNSUPPORTED_TYPE", description);
    }
    if picture.data.is_empty() {
        violations.add("picture.data", "REQUIRED", "a picture must not be empty");
    } else if picture.data.len() > MAX_BYTES {
        violations.add("picture.data", "TOO_LARGE", format!("a picture has at most {MAX_BYTES} bytes"));
    }
    violations.finish()?;
    // The extensions are for the call, not for the store.
    Ok(HttpBody { extensions: Vec::new(), ..picture })
}

/// A card with the product's title, in a color of its own. The same product always gives the same bytes.
pub(crate) fn draw(product: &Product) -> HttpBody {
    let hue = fingerprint::of(product.name.as_bytes()) % 360;
    let title = escape(&product.title);
    let svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="320" height="200" viewBox="0 0 320 200">
  <title>{title}</title>
  <rect width="320" height="200" rx="12" fill="hsl({hue}, 45%, 82%)"/>
  <circle cx="250" cy="60" r="36" fill="hsl({hue}, 55%, 55%)"/>
  <text x="24" y="160" font-family="sans-serif" font-size="22" fill="#222">{title}</text>
</svg>
"##
    );
    HttpBody { content_type: "image/svg+xml".to_owned(), data: svg.into_bytes(), extensions: Vec::new() }
}

/// Text as XML content.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // XML 1.0 has no place for other control characters, not even escaped.
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}
