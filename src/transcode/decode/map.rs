//! Maps: an object's members become entries, and no key may be there twice.

use crate::schema::Kind;
use crate::transcode::json::{self, Fault, Next, Read, Step};
use crate::transcode::plan::FieldPlan;

use super::scalar::Written;
use super::{Pass, text};

/// Where a key was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyPlace {
    /// Its offset in the output.
    start: usize,
    /// Its length there.
    length: usize,
    /// The offset of its token in the text.
    at: usize,
}

/// So many keys are compared each with each; more are sorted at the end.
const PAIRWISE: usize = 12;

impl<'a> Pass<'a> {
    /// Takes an object and appends an entry for each of its members.
    pub(super) fn map(&mut self, field: &'a FieldPlan) -> Read {
        let Kind::Message(entry) = field.kind else { return Err(self.json.unexpected("a value of a map")) };
        let entry = self.plan.message(entry);
        let part = |number| entry.find_number(number).map(|index| entry.field(index));
        let (Some(key), Some(value)) = (part(1), part(2)) else {
            return Err(self.json.unexpected("a value of a map"));
        };
        if !self.json.open(b'{', "an object")? {
            return Ok(());
        }
        let first = self.scratch.keys.len();
        loop {
            self.entry(field, key, value, first)?;
            if self.json.next(b'}')? == Next::End {
                break;
            }
        }
        self.forget_keys(first)
    }

    fn entry(&mut self, field: &FieldPlan, key: &FieldPlan, value: &'a FieldPlan, first: usize) -> Read {
        let start = self.out.len();
        field.tag.append(&mut self.out);
        let slot = self.open_slot();
        let content = self.out.len();
        let text = self.json.key()?;
        key.tag.append(&mut self.out);
        self.map_key(key.kind, text)?;
        let length = self.out.len() - content;
        let within = |fault: Fault| fault.below(Step::Key(String::from_utf8_lossy(text.raw).into()));
        if self.item(value).map_err(within)? == Written::Ignored {
            self.out.truncate(start);
            return Ok(());
        }
        let start = self.close_slot(slot);
        self.note_key(first, KeyPlace { start, length, at: text.at - 1 }).map_err(within)
    }

    fn map_key(&mut self, kind: Kind, key: json::Text<'_>) -> Read {
        if kind == Kind::String {
            return self.append_text(key);
        }
        self.scratch.text.clear();
        key.append(&mut self.scratch.text)?;
        let written = text::append_scalar(self.plan, kind, &self.scratch.text, &mut self.out);
        written.map_err(|problem| Fault::new(key.at - 1, problem))
    }

    /// Notes a key that was written; an error if it is one of those since `first`.
    #[inline]
    pub(super) fn note_key(&mut self, first: usize, key: KeyPlace) -> Read {
        let keys = self.scratch.keys.get(first..).unwrap_or_default();
        if keys.len() < PAIRWISE && keys.iter().any(|other| self.key_bytes(other) == self.key_bytes(&key)) {
            return Err(Fault::new(key.at, "the key is there twice"));
        }
        self.scratch.keys.push(key);
        Ok(())
    }

    /// Drops the keys since `first`; an error if two of them are the same.
    pub(super) fn forget_keys(&mut self, first: usize) -> Read {
        if self.scratch.keys.len() - first > PAIRWISE {
            let mut keys = std::mem::take(&mut self.scratch.keys);
            let own = keys.get_mut(first..).unwrap_or_default();
            own.sort_unstable_by(|one, other| {
                self.key_bytes(one).cmp(self.key_bytes(other)).then_with(|| one.at.cmp(&other.at))
            });
            let twice = own.windows(2).find_map(|pair| match pair {
                [one, other] if self.key_bytes(one) == self.key_bytes(other) => Some(other.at),
                _ => None,
            });
            self.scratch.keys = keys;
            if let Some(at) = twice {
                return Err(Fault::new(at, "the key is there twice"));
            }
        }
        self.scratch.keys.truncate(first);
        Ok(())
    }

    #[inline]
    fn key_bytes(&self, key: &KeyPlace) -> &[u8] {
        self.out.get(key.start..key.start + key.length).unwrap_or_default()
    }
}

impl KeyPlace {
    /// A key of `length` bytes at `start` of the output, read at `at` of the text.
    pub(super) const fn new(start: usize, length: usize, at: usize) -> Self {
        Self { start, length, at }
    }
}
