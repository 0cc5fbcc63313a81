//! Services that pages in browsers may ask: the headers without which a browser keeps their answers from a page.

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};

/// What is for programs and pages alike; figures for operators are not.
const OPEN: &str = "/v1/";

/// Lets pages from anywhere ask these routes below `/v1/`.
///
/// Anywhere, because these services know nobody by cookies or passwords: a page can ask them nothing that a program could
/// not. What a page may be told beyond a body is named; how long a browser may rely on all that is a day.
pub fn open_to_pages(routes: Router) -> Router {
    routes.layer(from_fn(permit))
}

async fn permit(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(OPEN) {
        return next.run(request).await;
    }
    let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !(request.method() == Method::OPTIONS && asks) {
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let told = HeaderValue::from_static("encompute-limit-bytes, encompute-left-bytes, retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, told);
        return response;
    }
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, PUT, POST"),
        // A round's call and an offer's are SCALE octets, which a page has to say.
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}
