//! Follows rules and hours: what was shown by a rule that is gone, was changed, or whose hours are
//! over is taken back from every page.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use clickmill_sdk_core::wire::{Millis, Tenant};
use clickmill_server::clock::SharedClock;
use clickmill_server::reload::Changes;
use tokio::time::sleep;

use super::promoter::Promoter;
use crate::hints::hub::Hub;

/// How often rules and hours are looked at: what a promotion may outlive its hours by.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The rules that hold at a moment: tenant, name and version.
type Alive = BTreeSet<(Tenant, String)>;

/// Looks at rules, hours and leases again and again, and at files as often as they change; never
/// resolves.
///
/// # Errors
/// When the system lets nobody listen to SIGHUP.
pub async fn watch(
    promoter: &Arc<Promoter>,
    (hub, clock): (&Hub, &SharedClock),
) -> io::Result<Infallible> {
    let mut changes = Changes::install()?;
    let paths: Vec<_> = promoter.folder().cloned().into_iter().collect();
    let files = async {
        loop {
            changes.next(&paths).await;
            let promoter = Arc::clone(promoter);
            // Conditions are parsed on threads of their own, which are waited for.
            let _ = tokio::task::spawn_blocking(move || promoter.read_files()).await;
        }
    };
    let looks = async {
        let (mut before, mut again) = (alive(promoter, Millis(clock.now_ms())), false);
        loop {
            sleep(LOOK_EVERY).await;
            let reading = Arc::clone(promoter);
            let _ = tokio::task::spawn_blocking(move || reading.read_topic()).await;
            let now = Millis(clock.now_ms());
            let is_alive = alive(promoter, now);
            let is_changed = is_alive != before;
            // Once more: a decision may have been on its way by the rules of before.
            if is_changed || std::mem::take(&mut again) {
                take_back(hub, &is_alive, now);
                again = is_changed;
            }
            before = is_alive;
            if let Some(leases) = promoter.leases() {
                leases.tick();
            }
        }
    };
    tokio::select! {
        never = files => match never {},
        never = looks => match never {},
    }
}

/// The rules that hold at a moment.
pub fn alive(promoter: &Promoter, now: Millis) -> Alive {
    let rules = promoter.rules();
    let alive = rules.all().filter(|rule| rule.schedule.holds(now));
    alive.map(|rule| (rule.tenant.clone(), rule.tag())).collect()
}

/// Takes back what rules show that hold no more. How many hints there were.
pub fn take_back(hub: &Hub, alive: &Alive, now: Millis) -> u64 {
    hub.end_promotions(now, |tenant, rule| !alive.contains(&(tenant.clone(), rule.to_owned())))
}
