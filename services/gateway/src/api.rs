//! The routes of the gateway.

use poem::Route;
use poem_openapi::{OpenApiService, Tags};

use crate::Shared;

pub mod catalogue;
pub mod orders;
pub mod sagas;

/// What the routes are grouped by.
#[derive(Tags)]
pub enum Group {
    /// Place orders and see them through.
    Orders,
    /// What can be ordered, and how much of it is there.
    Catalogue,
    /// What became of an order's money and mails.
    Records,
    /// Sagas as operators see them, and the ways out of stuck.
    Sagas,
}

type Apis = (orders::Orders, catalogue::Catalogue, sagas::SagaApi);

/// The routes without anything behind them, for the document.
pub(crate) fn documented() -> Apis {
    (orders::Orders(None), catalogue::Catalogue(None), sagas::SagaApi(None))
}

/// The routes.
pub(crate) fn routes(shared: Shared) -> Route {
    let apis = (
        orders::Orders(Some(shared.clone())),
        catalogue::Catalogue(Some(shared.clone())),
        sagas::SagaApi(Some(shared)),
    );
    Route::new().nest("/", OpenApiService::new(apis, "gateway", env!("CARGO_PKG_VERSION")))
}
