//! Names of types and fields, from names that strangers chose.

/// `basket_add` and `basket-add` → `BasketAdd`. What no name may hold is left out, and a digit does
/// not stand first.
pub(super) fn pascal(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let capital = |part: &str| {
        let (first, rest) = part.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    led(parts.map(capital).collect(), "Type")
}

/// `priceCents` and `price-cents` → `price_cents`.
pub(super) fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut was_small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && was_small {
            snake.push('_');
        }
        was_small = c.is_ascii_lowercase() || c.is_ascii_digit();
        match c.is_ascii_alphanumeric() {
            true => snake.push(c.to_ascii_lowercase()),
            false if !snake.ends_with('_') => snake.push('_'),
            false => {}
        }
    }
    led(snake.trim_matches('_').to_owned(), "field_")
}

/// The first of the name, the name with 2, with 3 and so on that is not taken yet.
pub(super) fn free(name: String, taken: &mut Vec<String>) -> String {
    let names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}{n}")));
    let mut names = names.skip_while(|name| taken.contains(name));
    let free = names.next().unwrap_or(name);
    taken.push(free.clone());
    free
}

fn led(name: String, lead: &str) -> String {
    match name.chars().next() {
        Some(first) if !first.is_ascii_digit() => name,
        _ => format!("{lead}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_whatever_there_is() {
        for (name, type_name, field) in [
            ("basket_add", "BasketAdd", "basket_add"),
            ("priceCents", "PriceCents", "price_cents"),
            ("2fa-code", "Type2faCode", "field_2fa_code"),
            ("größe", "GrE", "gr_e"),
            ("__", "Type", "field_"),
        ] {
            assert_eq!((pascal(name).as_str(), snake(name).as_str()), (type_name, field), "{name}");
        }
        let mut taken = Vec::new();
        let names = ["a", "a", "b", "a"].map(|name| free(name.to_owned(), &mut taken));
        assert_eq!(names, ["a", "a2", "b", "a3"]);
    }
}
