//! Loops: `all`, `exists`, `exists_one`, `filter` and `map`, which the parser has already written out.
//!
//! The parts that the parser adds (the accumulator, its condition) are known to be right and are left alone: only the
//! range and what the author wrote of the body are checked.

use std::ops::Range;

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr};

use super::{Checker, charge, charge_element};
use crate::expression::typing::Type;

/// How deep loops may stand within the bodies of loops.
const MAX_NESTING: usize = 2;

/// How many loops an expression may have.
const MAX_LOOPS: usize = 8;

impl Checker<'_> {
    pub(super) fn comprehension(&mut self, loops: &mut ComprehensionExpr, range: &Range<usize>) -> Type {
        let over = self.check(&mut loops.iter_range);
        let item = match over.operand() {
            Type::List(of) => (**of).clone(),
            Type::Map(key, _) => (**key).clone(),
            Type::Dyn => Type::Dyn,
            other => {
                let message = format!("found {other}, expected a list or a map to loop over");
                self.report(self.range(&loops.iter_range), message)
            }
        };
        charge(&mut loops.iter_range);
        self.loops += 1;
        if self.loops == MAX_LOOPS + 1 {
            self.report(range.clone(), format!("more than {MAX_LOOPS} loops in one expression"));
        }
        if self.nesting == MAX_NESTING {
            return self.report(range.clone(), format!("loops that nest deeper than {MAX_NESTING} levels"));
        }
        self.nesting += 1;
        self.locals.push((loops.iter_var.clone(), item));
        let found = self.body(&mut loops.loop_step);
        self.locals.pop();
        self.nesting -= 1;
        found
    }

    /// The body of a loop, by the shapes that the parser's macros give it.
    fn body(&mut self, step: &mut IdedExpr) -> Type {
        let Expr::Call(call) = &mut step.expr else { return Type::Dyn };
        match call.args.as_mut_slice() {
            // `all` and `exists`: @result && condition
            [accumulator, condition] if call.func_name != "_+_" && is_accumulator(accumulator) => {
                self.condition(condition);
                Type::Bool
            }
            // `map`: @result + [value]
            [_, added] => self.added(added),
            // `filter` and `map` with a condition: condition ? @result + [value] : @result. `exists_one` adds 1.
            [condition, step, _] => {
                self.condition(condition);
                let Expr::Call(call) = &mut step.expr else { return Type::Dyn };
                match call.args.as_mut_slice() {
                    [_, added] => self.added(added),
                    _ => Type::Dyn,
                }
            }
            _ => Type::Dyn,
        }
    }

    fn added(&mut self, added: &mut IdedExpr) -> Type {
        let Expr::List(list) = &mut added.expr else { return Type::Bool };
        let [value] = list.elements.as_mut_slice() else { return Type::Dyn };
        let found = self.check(value);
        charge_element(value, &found);
        Type::list(found)
    }
}

fn is_accumulator(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name.starts_with('@'))
}
