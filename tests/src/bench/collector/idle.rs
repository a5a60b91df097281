//! Connections that have sent one event each and then stay, like a browser's.

use tokio::task::JoinSet;

use super::Site;
use super::answer::Answer;
use super::load::Line;
use super::request::Request;

/// How many are held.
pub(super) const IDLE: usize = 10_000;
/// How many are opened at the same time.
const OPENERS: usize = 50;

/// Opens them all; they close when the lines are dropped.
pub(super) async fn hold(site: &Site) -> Vec<Line> {
    let mut openers = JoinSet::new();
    for _ in 0..OPENERS {
        let site = site.clone();
        openers.spawn(async move {
            let mut request = Request::new(site.write_key, 1);
            let (mut lines, mut answer) = (Vec::new(), Answer::default());
            for _ in 0..IDLE / OPENERS {
                let mut line = Line::open(site.collector, 1).await;
                line.exchange(request.renew(site.serials.take(1)), &mut answer).await;
                lines.push(line);
            }
            lines
        });
    }
    openers.join_all().await.into_iter().flatten().collect()
}
