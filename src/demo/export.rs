//! The catalog as a table (RFC 4180), in pieces that are made as they are sent.

use super::details::Failure;
use crate::pb::google::api::HttpBody;
use crate::pb::shop::catalog::v1::Product;

const MAX_SIZE_BYTES: i64 = 1024 * 1024 * 1024;
/// A piece is sent once it is as long as this.
const PIECE_BYTES: usize = 32 * 1024;
const HEADER: &str = "copy,name,title,price_cents,stock\r\n";

/// The pieces of one export. It holds the rows of the catalog once, and one piece.
pub(crate) struct Export {
    /// Every row without its first column.
    rows: Vec<String>,
    /// Which row is next.
    row: usize,
    /// Which copy of the catalog the next row belongs to, from 1.
    copy: u64,
    /// How many bytes must still come; copies are whole.
    missing_bytes: usize,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Begin,
    Middle,
    End,
}

impl Export {
    pub(crate) fn new<'a>(products: impl Iterator<Item = &'a Product>, min_size_bytes: i64) -> Result<Self, Failure> {
        let missing_bytes = match usize::try_from(min_size_bytes) {
            Ok(size) if min_size_bytes <= MAX_SIZE_BYTES => size,
            _ => {
                let description = format!("an export is at least 0 and at most {MAX_SIZE_BYTES} bytes long");
                return Err(Failure::invalid("minSizeBytes", "OUT_OF_RANGE", description));
            }
        };
        let row = |product: &Product| {
            let Product { name, title, price_cents, stock, .. } = product;
            format!(",{name},{},{price_cents},{stock}\r\n", quote(title))
        };
        Ok(Self { rows: products.map(row).collect(), row: 0, copy: 1, missing_bytes, state: State::Begin })
    }
}

impl Iterator for Export {
    type Item = HttpBody;

    fn next(&mut self) -> Option<HttpBody> {
        let mut data = Vec::with_capacity(PIECE_BYTES + 512);
        let content_type = match self.state {
            State::End => return None,
            State::Middle => String::new(),
            State::Begin => {
                data.extend_from_slice(HEADER.as_bytes());
                "text/csv; charset=utf-8".to_owned()
            }
        };
        self.state = State::Middle;
        while data.len() < PIECE_BYTES {
            let Some(row) = self.rows.get(self.row) else {
                if self.missing_bytes <= data.len() || self.rows.is_empty() {
                    self.state = State::End;
                    break;
                }
                (self.row, self.copy) = (0, self.copy + 1);
                continue;
            };
            data.extend_from_slice(self.copy.to_string().as_bytes());
            data.extend_from_slice(row.as_bytes());
            self.row += 1;
        }
        self.missing_bytes = self.missing_bytes.saturating_sub(data.len());
        Some(HttpBody { content_type, data, extensions: Vec::new() })
    }
}

/// A field of the table, in quotes where it needs them.
fn quote(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
