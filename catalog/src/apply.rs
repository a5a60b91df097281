//! Looks at a cluster and carries a plan out on it.

use clickmill_kafka::{Admin, Creation, Error, TopicSpec};

use crate::{Action, Cluster, Contract, Plan, PlanOptions};

/// Reads what a plan for these contracts needs to know; topics that are missing are left out.
///
/// # Errors
/// When the cluster does not answer or does not allow it.
pub async fn observe<'a>(
    admin: &Admin,
    contracts: impl IntoIterator<Item = &'a Contract>,
    options: &PlanOptions,
) -> Result<Cluster, Error> {
    let names: Vec<String> = contracts.into_iter().map(|each| options.topic(each)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(Cluster { brokers: admin.brokers().await?, topics: admin.describe(&names).await? })
}

/// Carries a plan out, unless something in it is refused: then nothing is done. A topic that has
/// come to be in the meantime is left as it is. Applying twice is the same as once.
///
/// # Errors
/// The first action that failed; those before it are done.
pub async fn apply(admin: &Admin, plan: &Plan) -> Result<(), Error> {
    if plan.is_refused() {
        return Ok(());
    }
    let created = plan.actions.iter().filter_map(|action| match action {
        Action::Create(spec) => Some(spec.clone()),
        _ => None,
    });
    let created: Vec<TopicSpec> = created.collect();
    for creation in admin.create(&created).await? {
        match creation {
            Creation::Existed | Creation::Made => {}
            Creation::Failed(error) => return Err(error),
        }
    }
    for action in &plan.actions {
        match action {
            Action::Change { topic, changes } => {
                let changes = changes.iter().map(|c| (c.setting.clone(), c.to.clone())).collect();
                admin.set_config(topic, &changes).await?;
            }
            Action::Grow { topic, to, .. } => admin.increase_partitions(topic, *to).await?,
            Action::Create(_) | Action::Keep { .. } | Action::Refuse { .. } => {}
        }
    }
    Ok(())
}
