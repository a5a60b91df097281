//! A condition in CEL: parsed apart from everything else, weighed, tried, and then applied.
//!
//! What a condition may cost is bounded before it is ever applied: it uses known names and functions
//! alone, and from the most that each name can hold follows the most work that it can be. A mistake in
//! it (an unknown name, a comparison of a text with a number) is found when it is read, also where an
//! `&&` would hide it.

mod weigh;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr};
use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, Program, Value};

use self::weigh::Weigher;
use super::scene::Scene;

/// The longest condition, bytes.
pub const BYTES_MAX: usize = 1_000;

/// How deep brackets may lie in each other.
const BRACKETS_MAX: usize = 12;

/// The most work that a condition may be, in steps of the interpreter.
pub const COST_MAX: u64 = 20_000;

/// Room for the parser, which goes down a level for each bracket and operator.
const PARSER_STACK_BYTES: usize = 16 << 20;

/// The language and its functions, made once.
#[derive(Clone)]
pub struct Language(Arc<Env>);

/// A condition that is good.
#[derive(Clone)]
pub struct Expression {
    text: String,
    language: Language,
    program: Arc<Program>,
    cost: u64,
    names: Vec<&'static str>,
}

/// Why a condition is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is too long.
    #[error("is longer than {BYTES_MAX} bytes")]
    Long,
    /// It is too deep.
    #[error("has more than {BRACKETS_MAX} brackets in each other")]
    Deep,
    /// It is no CEL.
    #[error("cannot be read: {0}")]
    Syntax(String),
    /// It uses what is not there.
    #[error("{0}")]
    Unknown(String),
    /// It is too much work.
    #[error("may take {0} steps, and no condition may take more than {COST_MAX}")]
    Dear(u64),
    /// It does not work.
    #[error("fails {0}: {1}")]
    Fails(&'static str, String),
}

impl Default for Language {
    fn default() -> Self {
        Self(Arc::new(Env::stdlib()))
    }
}

impl Expression {
    /// Reads and checks a condition.
    ///
    /// # Errors
    /// Why it is no good.
    pub fn compile(text: &str, language: &Language) -> Result<Self, Unfit> {
        if text.len() > BYTES_MAX {
            return Err(Unfit::Long);
        }
        if depth(text) > BRACKETS_MAX {
            return Err(Unfit::Deep);
        }
        let program = parse(text, language)?;
        let mut weigher = Weigher::default();
        let cost = weigher.weigh(program.expression())?;
        if cost > COST_MAX {
            return Err(Unfit::Dear(cost));
        }
        let names = weigher.names();
        let program = Arc::new(program);
        let expression =
            Self { text: text.to_owned(), language: language.clone(), program, cost, names };
        expression.try_out()?;
        Ok(expression)
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn holds(&self, scene: &Scene) -> Result<bool, String> {
        self.evaluate(self.program.expression(), scene).map_err(|failed| failed.to_string())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The most work that it can be, in steps of the interpreter.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// The names that it uses, each once.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    fn evaluate(&self, node: &IdedExpr, scene: &Scene) -> Result<bool, Failed> {
        let mut context = Context::with_env(Arc::clone(&self.language.0));
        context.set_variable_resolver(scene);
        // Somebody else's interpreter must not take the stream down with it.
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let value = Value::resolve_val(node, &context).map_err(Failed::Error)?;
            let truth = value.downcast_ref::<CelBool>().map(|truth| *truth.inner());
            truth.ok_or_else(|| Failed::NoTruth(value.get_type().name().to_owned()))
        }));
        evaluated.unwrap_or(Err(Failed::Panic))
    }

    /// Tries it on a visitor of whom everything is known and on one of whom nothing is; and each of
    /// its parts by itself, since `&&` and `||` leave parts out.
    fn try_out(&self) -> Result<(), Unfit> {
        let samples = [
            ("for a visitor of whom much is known", Scene::sample()),
            ("for a visitor of whom nothing is known", Scene::blank()),
        ];
        for (who, scene) in &samples {
            self.holds(scene).map_err(|why| Unfit::Fails(who, why))?;
            self.try_parts(self.program.expression(), scene)
                .map_err(|why| Unfit::Fails(who, why))?;
        }
        Ok(())
    }

    fn try_parts(&self, node: &IdedExpr, scene: &Scene) -> Result<(), String> {
        let Expr::Call(call) = &node.expr else { return Ok(()) };
        for part in call.target.as_deref().into_iter().chain(&call.args) {
            self.try_parts(part, scene)?;
        }
        match self.evaluate(node, scene) {
            Ok(_) | Err(Failed::NoTruth(_)) => Ok(()),
            // Those depend on values, and whoever wrote the condition may have seen to them.
            Err(Failed::Error(
                ExecutionError::DivisionByZero(_)
                | ExecutionError::RemainderByZero(_)
                | ExecutionError::IndexOutOfBounds(_)
                | ExecutionError::Overflow(..),
            )) => Ok(()),
            Err(failed) => Err(failed.to_string()),
        }
    }
}

/// Why a condition could not be told.
#[derive(Debug)]
enum Failed {
    Error(ExecutionError),
    NoTruth(String),
    Panic,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "{error}"),
            Self::NoTruth(kind) => write!(f, "it is a {kind}, not true or false"),
            Self::Panic => write!(f, "the interpreter broke off"),
        }
    }
}

/// Parses on a thread of its own: with room for its depth, and apart from whoever asks if it breaks.
fn parse(text: &str, language: &Language) -> Result<Program, Unfit> {
    let broke = || Unfit::Syntax("the parser broke off".to_owned());
    let (own, language) = (text.to_owned(), language.clone());
    let parsing = std::thread::Builder::new()
        .name("parse-rule".to_owned())
        .stack_size(PARSER_STACK_BYTES)
        .spawn(move || language.0.compile(&own))
        .map_err(|_| broke())?;
    let parsed = parsing.join().map_err(|_| broke())?;
    parsed.map_err(|errors| {
        let first = errors.errors.first();
        let said = first.map(|error| format!("{} at {}:{}", error.msg, error.pos.0, error.pos.1));
        Unfit::Syntax(said.unwrap_or_default().replace('\n', " "))
    })
}

/// How deep brackets lie in each other; those in texts count, too.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Language").finish_non_exhaustive()
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").field("text", &self.text).field("cost", &self.cost).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;
