//! What a condition can cost at the most: a walk over its parts with the most that each can hold.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

use super::Unfit;
use crate::promotions::scene::{Kind, NAMES};

/// How deep walks over lists may lie in each other.
const WALKS_MAX: usize = 2;

/// Bytes that are compared or copied in one step.
const BYTES_PER_STEP: u64 = 16;

/// Functions that a condition may call, beside operators.
const FUNCTIONS: [&str; 4] = ["size", "int", "double", "string"];
const METHODS: [&str; 4] = ["size", "contains", "startsWith", "endsWith"];

/// What a part of a condition can hold at the most: so many items of so many bytes.
#[derive(Clone, Copy, Debug)]
struct Size {
    items: u64,
    each: u64,
    kind: Option<Base>,
}

/// What a part is, as far as that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Bool,
    Number,
    Text,
    Texts,
}

impl Base {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Texts => "a list of texts",
        }
    }
}

impl Size {
    const ONE: Self = Self { items: 1, each: 1, kind: None };

    fn of(kind: Base) -> Self {
        Self { kind: Some(kind), ..Self::ONE }
    }

    fn steps(self) -> u64 {
        self.items.saturating_mul(self.each) / BYTES_PER_STEP
    }
}

/// Walks over a condition.
#[derive(Debug, Default)]
pub(super) struct Weigher {
    /// The names that walks over lists bring, innermost last.
    scope: Vec<(String, Size)>,
    walks: usize,
    names: Vec<&'static str>,
}

impl Weigher {
    /// The most steps that a condition can take.
    pub(super) fn weigh(&mut self, node: &IdedExpr) -> Result<u64, Unfit> {
        self.part(node).map(|(cost, _)| cost)
    }

    /// The names that were used, each once.
    pub(super) fn names(self) -> Vec<&'static str> {
        self.names
    }

    fn part(&mut self, node: &IdedExpr) -> Result<(u64, Size), Unfit> {
        match &node.expr {
            Expr::Literal(literal) => Ok((1, literal_size(literal))),
            Expr::Ident(_) | Expr::Select(_) => self.name(node),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(walk) => self.walk(walk),
            Expr::List(list) => {
                let (mut cost, mut each, mut kind) = (1_u64, 1, Some(Base::Texts));
                for element in &list.elements {
                    let (more, size) = self.part(element)?;
                    cost = cost.saturating_add(more).saturating_add(size.steps());
                    each = each.max(size.items.saturating_mul(size.each));
                    kind = kind.filter(|_| size.kind == Some(Base::Text));
                }
                Ok((cost, Size { items: list.elements.len() as u64, each, kind }))
            }
            Expr::Map(_) | Expr::Struct(_) => Err(unknown("maps cannot be made in a condition")),
            Expr::Unspecified => Err(unknown("there is an empty part")),
        }
    }

    fn name(&mut self, node: &IdedExpr) -> Result<(u64, Size), Unfit> {
        let Some(name) = full_name(node) else {
            return Err(unknown(
                "only names have parts, and `has` is not needed: every name is always there",
            ));
        };
        let root = name.split('.').next().unwrap_or_default();
        if let Some((_, size)) = self.scope.iter().rev().find(|(known, _)| known == root) {
            return if name == root {
                Ok((1, *size))
            } else {
                Err(unknown(format!("`{root}` has no parts")))
            };
        }
        let Some((name, kind)) = NAMES.iter().find(|(known, _)| *known == name) else {
            return Err(Unfit::Unknown(unknown_name(&name)));
        };
        if !self.names.contains(name) {
            self.names.push(name);
        }
        // A list is made when it is looked at.
        Ok(match *kind {
            Kind::Bool => (1, Size::of(Base::Bool)),
            Kind::Int => (1, Size::of(Base::Number)),
            Kind::Text(bytes) => (2, Size { items: bytes, each: 1, kind: Some(Base::Text) }),
            Kind::Texts(items, each) => (2 + items, Size { items, each, kind: Some(Base::Texts) }),
        })
    }

    fn call(&mut self, call: &CallExpr) -> Result<(u64, Size), Unfit> {
        let (mut cost, mut sizes) = (1_u64, Vec::new());
        for part in call.target.as_deref().into_iter().chain(&call.args) {
            let (more, size) = self.part(part)?;
            cost = cost.saturating_add(more);
            sizes.push(size);
        }
        let contents = sizes.iter().fold(0_u64, |all, size| all.saturating_add(size.steps()));
        let name = call.func_name.as_str();
        if call.target.is_some() {
            return if METHODS.contains(&name) {
                let kind = if name == "size" { Base::Number } else { Base::Bool };
                Ok((cost.saturating_add(contents), Size::of(kind)))
            } else {
                Err(unknown(format!(
                    "there is no function `{name}` of a value, but {}",
                    METHODS.join(", ")
                )))
            };
        }
        let size = match name {
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE => return Ok((cost, Size::of(Base::Bool))),
            operators::NEGATE
            | operators::SUBSTRACT
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO => return Ok((cost, Size::of(Base::Number))),
            operators::EQUALS | operators::NOT_EQUALS => {
                alike(&sizes, |one, other| one == other)?;
                Size::of(Base::Bool)
            }
            operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS => {
                alike(&sizes, |one, other| one == other)?;
                Size::of(Base::Bool)
            }
            operators::IN => {
                alike(&sizes, |one, other| other != Base::Texts || one == Base::Text)?;
                Size::of(Base::Bool)
            }
            operators::ADD => sum(&sizes),
            operators::CONDITIONAL => sizes.iter().skip(1).fold(Size::ONE, |a, b| widest(a, *b)),
            operators::INDEX => {
                let each = sizes.first().map_or(1, |size| size.each);
                let kind = sizes.first().and_then(|size| size.kind);
                let kind = kind.filter(|kind| *kind == Base::Texts).map(|_| Base::Text);
                return Ok((cost, Size { items: each, each: 1, kind }));
            }
            _ if FUNCTIONS.contains(&name) => match name {
                "string" => Size { items: 32, each: 1, kind: Some(Base::Text) },
                _ => Size::of(Base::Number),
            },
            _ => {
                return Err(unknown(format!(
                    "there is no function `{name}`, but {}",
                    FUNCTIONS.join(", ")
                )));
            }
        };
        // A text that is made into a text stays as long as it is.
        let size = if name == "string" {
            Size { items: sizes.iter().map(|s| s.items).max().unwrap_or(1).max(32), ..size }
        } else {
            size
        };
        Ok((cost.saturating_add(contents), size))
    }

    /// A walk over a list: `exists`, `all`, `map`, `filter`.
    fn walk(&mut self, walk: &ComprehensionExpr) -> Result<(u64, Size), Unfit> {
        if walk.iter_var2.is_some() {
            return Err(unknown("a walk over a list has one variable"));
        }
        if self.walks == WALKS_MAX {
            return Err(unknown(format!("more than {WALKS_MAX} walks over lists in each other")));
        }
        let (mut cost, range) = self.part(&walk.iter_range)?;
        let (begun, first) = self.part(&walk.accu_init)?;
        self.walks += 1;
        let depth = self.scope.len();
        let kind = range.kind.filter(|kind| *kind == Base::Texts).map(|_| Base::Text);
        self.scope.push((walk.iter_var.clone(), Size { items: range.each, each: 1, kind }));
        // What is gathered grows by what one round adds.
        self.scope.push((walk.accu_var.clone(), Size { items: 0, each: 0, kind: None }));
        let (looked, _) = self.part(&walk.loop_cond)?;
        let (stepped, step) = self.part(&walk.loop_step)?;
        let rounds = range.items.max(1);
        let gathered = Size {
            items: rounds.saturating_mul(step.items.max(1)),
            each: step.each.max(first.each).max(1),
            kind: None,
        };
        let round = 2_u64.saturating_add(looked).saturating_add(stepped);
        cost = cost.saturating_add(begun).saturating_add(rounds.saturating_mul(round));
        self.scope.truncate(depth);
        self.scope.push((walk.accu_var.clone(), gathered));
        let (ended, result) = self.part(&walk.result)?;
        self.scope.truncate(depth);
        self.walks -= 1;
        Ok((cost.saturating_add(ended).saturating_add(gathered.steps()), result))
    }
}

fn literal_size(literal: &LiteralValue) -> Size {
    match literal {
        LiteralValue::Boolean(_) => Size::of(Base::Bool),
        LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => {
            Size::of(Base::Number)
        }
        LiteralValue::String(text) => {
            Size { items: text.inner().len() as u64, each: 1, kind: Some(Base::Text) }
        }
        LiteralValue::Bytes(_) | LiteralValue::Null => Size { items: 1_000, each: 1, kind: None },
    }
}

fn sum(sizes: &[Size]) -> Size {
    sizes.iter().fold(Size { items: 0, each: 1, kind: None }, |all, size| Size {
        items: all.items.saturating_add(size.items),
        each: all.each.max(size.each),
        kind: size.kind,
    })
}

fn widest(one: Size, other: Size) -> Size {
    Size { items: one.items.max(other.items), each: one.each.max(other.each), kind: other.kind }
}

/// Both sides of a comparison must be comparable, as far as it can be told what they are.
fn alike(sizes: &[Size], may: impl Fn(Base, Base) -> bool) -> Result<(), Unfit> {
    let [Size { kind: Some(one), .. }, Size { kind: Some(other), .. }] = sizes else {
        return Ok(());
    };
    if may(*one, *other) {
        return Ok(());
    }
    Err(unknown(format!("{} is compared with {}", one.as_str(), other.as_str())))
}

/// `a.b.c`, where the part is nothing but a name.
fn full_name(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", full_name(&select.operand)?, select.field))
        }
        _ => None,
    }
}

fn unknown_name(name: &str) -> String {
    let root = name.split('.').next().unwrap_or_default();
    let of_root = |known: &&str| known.split('.').next() == Some(root);
    let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).filter(of_root).collect();
    if known.is_empty() {
        let mut roots: Vec<&str> =
            NAMES.iter().filter_map(|(known, _)| known.split('.').next()).collect();
        roots.dedup();
        return format!("there is no `{name}`; names begin with {}", roots.join(", "));
    }
    format!("there is no `{name}`, but {}", known.join(", "))
}

fn unknown(what: impl Into<String>) -> Unfit {
    Unfit::Unknown(what.into())
}
