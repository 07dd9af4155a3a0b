//! The bound on the work of one evaluation.
//!
//! The checker puts a call of `@spend` around every value whose size makes an operation cost more than a constant:
//! what is looped over, what a loop compares or searches, what is put together. It charges the value's weight, and
//! fails once the evaluation has spent what it may: a request that nests its own lists in a loop can't hold a worker
//! for seconds.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::ExecutionError;
use cel::common::types::{CelBytes, CelList, CelMap, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};

/// How much work one evaluation may do: an element of a list or map, or [`UNIT_BYTES`] of text, is one.
pub const MAX_WORK: u64 = 200_000;

/// The bytes of a string or a message that count as much as an element of a list.
pub const UNIT_BYTES: usize = 64;

/// The function that charges, and the variable that it charges to. No text can spell them.
pub(super) const SPEND: &str = "@spend";
pub(super) const BUDGET: &str = "@budget";

/// What an evaluation may still spend.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(MAX_WORK))
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn spend(&self, value: &dyn Val) -> Result<(), ExecutionError> {
        let left = self.0.load(Ordering::Relaxed);
        let mut rest = left;
        weigh(value, &mut rest);
        self.0.store(rest, Ordering::Relaxed);
        if rest == 0 { Err(ExecutionError::function_error(SPEND, "too much work")) } else { Ok(()) }
    }
}

/// Takes the weight of `value` off `rest`, and stops looking once nothing is left.
fn weigh(value: &dyn Val, rest: &mut u64) {
    *rest = rest.saturating_sub(1);
    if *rest == 0 {
        return;
    }
    let units = |bytes: usize| u64::try_from(bytes / UNIT_BYTES).unwrap_or(u64::MAX);
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        *rest = rest.saturating_sub(units(text.inner().len()));
    } else if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        *rest = rest.saturating_sub(units(bytes.inner().len()));
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        list.inner().iter().for_each(|element| weigh(element.as_ref(), rest));
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        for (key, value) in map.inner() {
            weigh(key.inner(), rest);
            weigh(value.as_ref(), rest);
        }
    } else if let Some(sizer) = value.as_sizer() {
        // A message: its size is already in units.
        *rest = rest.saturating_sub(u64::try_from(*sizer.size().inner()).unwrap_or(0));
    }
}

impl Val for Budget {
    fn get_type(&self) -> &Type {
        Self::cel_type()
    }

    fn cel_type() -> &'static Type {
        &DYN_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(Self(AtomicU64::new(self.0.load(Ordering::Relaxed))))
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Budget {}

/// `@spend(value, @budget)`: the value, once it is paid for.
pub(super) fn spend<'b, 'v>(mut arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (Some(budget), Some(value)) = (arguments.pop(), arguments.pop()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    if let Some(budget) = budget.downcast_ref::<Budget>() {
        budget.spend(value.as_ref())?;
    }
    Ok(value)
}
