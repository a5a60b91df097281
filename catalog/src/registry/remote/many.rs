//! Many questions at once, a bounded number of them under way.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// So many questions are under way at the most: a thousand that take 20 ms each are answered within
/// a second, and a registry that others share is not flooded.
pub(super) const AT_ONCE: usize = 32;

/// What came of many questions.
#[derive(Debug)]
pub(super) struct Asked<A> {
    /// The answers, each with its question's place, in their order.
    pub(super) answers: Vec<(usize, A)>,
    /// Why not all were asked.
    pub(super) failure: Option<String>,
}

/// Asks all of them. After a failure no further one is begun; what was answered is there all the
/// same.
pub(super) fn ask_all<Q: Sync, A: Send>(
    questions: &[Q],
    ask: impl Fn(&Q) -> Result<A, String> + Sync,
) -> Asked<A> {
    let (next, failure) = (AtomicUsize::new(0), OnceLock::new());
    let work = || {
        let mut answers = Vec::new();
        while failure.get().is_none() {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(question) = questions.get(at) else { break };
            match ask(question) {
                Ok(answer) => answers.push((at, answer)),
                Err(problem) => {
                    // The first one is told.
                    let _ = failure.set(problem);
                }
            }
        }
        answers
    };
    let mut answers = thread::scope(|scope| {
        // Where the system gives no further thread, those that there are do all of it.
        let helper = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (1..AT_ONCE.min(questions.len())).map_while(helper).collect();
        let mut answers = work();
        for helper in helpers {
            match helper.join() {
                Ok(more) => answers.extend(more),
                Err(_) => drop(failure.set("a question ended early".to_owned())),
            }
        }
        answers
    });
    answers.sort_unstable_by_key(|(at, _)| *at);
    Asked { answers, failure: failure.into_inner() }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn all_are_asked_in_company_and_the_answers_are_in_order() {
        // Opens only for as many as may be under way.
        let together = Barrier::new(AT_ONCE);
        let questions: Vec<usize> = (0..AT_ONCE * 4).collect();
        let asked = ask_all(&questions, |number| {
            together.wait();
            Ok(number * 2)
        });
        let doubled: Vec<(usize, usize)> = questions.iter().map(|n| (*n, n * 2)).collect();
        assert_eq!((asked.answers, asked.failure), (doubled, None));
        assert_eq!(ask_all(&[], |(): &()| Ok(())).answers, []);
    }

    #[test]
    fn a_failure_begins_nothing_more_and_keeps_what_was_answered() {
        let asked = AtomicUsize::new(0);
        let refused = ask_all(&[(); 10_000], |()| {
            asked.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>("no".to_owned())
        });
        assert_eq!((refused.answers, refused.failure.as_deref()), (vec![], Some("no")));
        assert!(asked.into_inner() <= AT_ONCE);

        let together = Barrier::new(3);
        let mixed = ask_all(&[0, 1, 2], |number| {
            together.wait();
            if *number == 1 { Err("no".to_owned()) } else { Ok(*number) }
        });
        assert_eq!((mixed.answers, mixed.failure.as_deref()), (vec![(0, 0), (2, 2)], Some("no")));
    }

    #[test]
    fn a_question_that_panics_is_a_failure() {
        // The caller's own thread takes part, so a second one has to be there for it.
        let together = Barrier::new(2);
        let caller = thread::current().id();
        let asked = ask_all(&[1, 2], |_| {
            together.wait();
            if thread::current().id() != caller {
                std::panic::resume_unwind(Box::new(()));
            }
            Ok(())
        });
        assert_eq!(asked.failure.as_deref(), Some("a question ended early"));
        assert_eq!(asked.answers.len(), 1);
    }
}
