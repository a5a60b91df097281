//! Stream contracts and compiled schemas: what each topic holds, who owns it, what an event must look like.
//!
//! Two halves that meet in the names of things. **Contracts** ([`Catalogue`]) say for each topic who
//! owns it, what lies in it and how it is kept; [`plan`] compares them with a cluster and [`apply`]
//! carries the difference out. **Schemas** ([`Schemas`]) say what an event's properties must look
//! like; they come from a [`SchemaSource`] and are compiled once into a [`SchemaSet`].

mod apply;
mod catalogue;
mod codegen;
mod contract;
pub mod fuzzing;
mod plan;
mod registry;
mod schema;
#[cfg(test)]
mod testing;

pub use apply::{apply, observe};
pub use catalogue::Catalogue;
pub use codegen::{CodegenError, Language, codegen};
pub use contract::{
    Cleanup, Contract, ContractError, Key, KeyFormat, Privacy, SchemaReference, TopicName, Value,
    ValueFormat,
};
pub use plan::{Action, Change, Cluster, Plan, PlanOptions, Refused, plan};
pub use registry::{
    Builtin, Credentials, Document, Fetched, Folder, Refusal, Registry, RegistryOptions,
    SchemaSource, SchemaText, SourceError, Standing,
};
pub use schema::{
    Formats, Resolved, SchemaRef, SchemaSet, Schemas, Tree, Violation, subject, take_out,
};
