//! Takes marked properties out of an event.

use serde_json::Value;

/// Takes out what lies at a pointer, whose segment `*` stands for every element or key; whether
/// there was anything.
pub fn take_out(value: &mut Value, pointer: &str) -> bool {
    let Some(rest) = pointer.strip_prefix('/') else {
        // The whole is personal.
        let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        *value = Value::Object(serde_json::Map::new());
        return !empty;
    };
    let (step, below) = match rest.find('/') {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    };
    let name = step.replace("~1", "/").replace("~0", "~");
    match (value, below) {
        (Value::Object(fields), None) if step == "*" => {
            let some = !fields.is_empty();
            fields.clear();
            some
        }
        (Value::Array(items), None) if step == "*" => {
            let some = !items.is_empty();
            items.clear();
            some
        }
        (Value::Object(fields), None) => fields.remove(&name).is_some(),
        (Value::Array(items), None) => place(&name, items.len()).is_some_and(|at| {
            // The places of the others must stay.
            !std::mem::take(&mut items[at]).is_null()
        }),
        (Value::Object(fields), Some(below)) if step == "*" => {
            fields.values_mut().map(|value| take_out(value, below)).filter(|some| *some).count() > 0
        }
        (Value::Array(items), Some(below)) if step == "*" => {
            items.iter_mut().map(|value| take_out(value, below)).filter(|some| *some).count() > 0
        }
        (Value::Object(fields), Some(below)) => {
            fields.get_mut(&name).is_some_and(|value| take_out(value, below))
        }
        (Value::Array(items), Some(below)) => {
            place(&name, items.len()).is_some_and(|at| take_out(&mut items[at], below))
        }
        _ => false,
    }
}

fn place(name: &str, count: usize) -> Option<usize> {
    name.parse().ok().filter(|at| *at < count)
}
