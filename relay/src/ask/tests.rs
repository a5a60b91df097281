//! Who may ask, what is read, and who answers.

use clickmill_server::config::Secret;
use hyper::header::AUTHORIZATION;

use super::*;

#[test]
fn a_key_opens_its_own_tenants_visitors() {
    let key = |tenant: &str, secret: &str| ServerKey {
        tenant: Tenant::parse(tenant).unwrap(),
        secret: Secret::new(secret),
    };
    let keys = [key("shop", "first-secret-of-shop"), key("other", "secret-of-other")];
    let whose = |shown: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(shown) = shown {
            headers.insert(AUTHORIZATION, shown.parse().unwrap());
        }
        admit(&headers, &keys).map(Tenant::as_str).map_err(|why| why.answer().0.as_u16())
    };
    assert_eq!(whose(Some("Bearer first-secret-of-shop")), Ok("shop"));
    assert_eq!(whose(Some("bearer secret-of-other")), Ok("other"));
    for shown in [None, Some("Bearer "), Some("Bearer x"), Some("first-secret-of-shop")] {
        assert_eq!(whose(shown), Err(401), "{shown:?}");
    }
}

#[test]
fn a_place_is_two_numbers() {
    assert_eq!(Place::parse("3.1234"), Some(Place { partition: 3, offset: 1234 }));
    for text in ["", "3", "3.", ".4", "3.x", "-1.4", "3.4.5", "+3.4", "3.+4", "3. 4"] {
        assert_eq!(Place::parse(text), None, "{text}");
    }
}

#[test]
fn a_list_is_bounded_and_comes_back_as_it_was_written() {
    let shop = || Tenant::parse("shop").unwrap();
    let body = br#"{"visitors": ["a", "b"], "after": ["1.7"]}"#;
    let query = Query::of_tenant(shop(), body).unwrap();
    assert_eq!(query.visitors.len(), 2);
    assert_eq!(query.after, [Place { partition: 1, offset: 7 }]);
    assert_eq!(Query::read(&query.written()), Ok(query));

    let list = |count: usize| {
        let ids: Vec<String> = (0..count).map(|n| format!("\"v{n}\"")).collect();
        Query::of_tenant(shop(), format!(r#"{{"visitors":[{}]}}"#, ids.join(",")).as_bytes())
    };
    assert!(list(VISITORS_MAX).is_ok());
    assert_eq!(list(VISITORS_MAX + 1), Err(Unanswered::List));
    assert_eq!(list(0), Err(Unanswered::List));
    for body in ["", "[]", "{}", r#"{"visitors":["a b"]}"#, r#"{"visitors":["a"],"tenant":"x"}"#] {
        assert_eq!(Query::of_tenant(shop(), body.as_bytes()), Err(Unanswered::List), "{body}");
    }
    // A server's list is none of a relay's: it says no tenant.
    assert_eq!(Query::read(br#"{"visitors":["a"],"after":[]}"#), Err(Unanswered::List));
}

#[test]
fn answers_keep_their_places_and_their_words() {
    let visitors = ["a", "b"].map(|id| VisitorId::parse(id).unwrap());
    let known = Told { status: StatusCode::OK, answer: r#"{"state":{"visits":1}}"#.to_owned() };
    let told = [known, Told::from(Unanswered::Unknown)];
    let text = written(&visitors, &told);
    assert_eq!(Told::read_all(text.as_bytes(), 2).as_deref(), Some(&told[..]));
    assert_eq!(Told::read_all(text.as_bytes(), 3), None);
    assert!(text.starts_with(r#"{"visitors":[{"visitor":"a","status":200,"answer":{"state""#));
    assert!(
        text.contains(r#"{"visitor":"b","status":404,"answer":{"error":"not_found""#),
        "{text}"
    );
    for text in ["", "{}", r#"{"visitors":[{"status":1,"answer":{}}]}"#, r#"{"visitors":[{}]}"#] {
        assert_eq!(Told::read_all(text.as_bytes(), 1), None, "{text}");
    }
}
