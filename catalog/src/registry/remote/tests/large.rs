//! A registry with a thousand subjects, each answer of which takes its time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::registry::remote::many::AT_ONCE;

const SUBJECTS: usize = 1_000;

/// How long each answer takes.
const DELAY: Duration = Duration::from_millis(20);

/// Answers that are under way.
#[derive(Default)]
struct Traffic {
    now: AtomicUsize,
    most: AtomicUsize,
    answered: AtomicUsize,
}

impl Traffic {
    /// Answers all questions of one connection.
    fn carry(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while line.trim() != "" {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            line.clear();
            let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            // Nobody wakes it earlier.
            thread::park_timeout(DELAY);
            self.now.fetch_sub(1, Ordering::Relaxed);
            self.answered.fetch_add(1, Ordering::Relaxed);
            let body = answer(&path).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            if reader.get_mut().write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn answer(path: &str) -> Value {
    match path.trim_start_matches("/base/subjects").split('/').collect::<Vec<_>>()[..] {
        [_, _, "versions"] => json!([1]),
        [_, subject, "versions", _] => requiring(1, subject),
        _ => (0..SUBJECTS).map(|number| format!("web.clicks.kind_{number}")).collect(),
    }
}

#[test]
fn a_thousand_subjects_are_asked_for_in_company_and_not_one_by_one() {
    let traffic = Arc::new(Traffic::default());
    let shared = Arc::clone(&traffic);
    let server = Server::behind("http", move |stream, _| {
        let traffic = Arc::clone(&shared);
        thread::spawn(move || traffic.carry(stream));
    });
    let registry =
        Registry::new(&RegistryOptions { timeout: Duration::from_secs(20), ..server.options() });
    let registry = registry.unwrap();
    for (what, asked) in [("start", 2 * SUBJECTS + 1), ("refresh", SUBJECTS + 1)] {
        let begun = Instant::now();
        assert_eq!(fetch(&registry).schemas.len(), SUBJECTS);
        let took = begun.elapsed();
        assert_eq!(registry.standing().away, None);
        assert_eq!(traffic.answered.swap(0, Ordering::Relaxed), asked);
        println!("{what} with {SUBJECTS} subjects, {DELAY:?} an answer: {took:?}");
        // One by one it would be all of these; a busy machine is far from that.
        assert!(took < DELAY * asked as u32 / 4, "{what}: {took:?}");
    }
    let most = traffic.most.load(Ordering::Relaxed);
    assert!((2..=AT_ONCE).contains(&most), "{most} at once");
}
