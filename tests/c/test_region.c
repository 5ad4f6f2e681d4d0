/* Regions: memory of no interpreter, its handles and pins, and the pages that are kept. */
#include "harness.h"

#include "region.h"
#include "sync.h"

static csp_end *handle_on(csp_region *region, csp_interp *interp)
{
    csp_chan *chan = csp_region_chan_new(region);
    csp_end *end = csp_end_new(chan, CSP_SEND | CSP_RECV, interp);
    csp_chan_decref(chan);
    return end;
}

static const csp_placement placements[] = {CSP_BY_SIZE, CSP_UNMAPPED, CSP_MAPPED, CSP_HUGE};

TEST(region_is_zero_and_whole_wherever_it_is)
{
    for (size_t n = 0; n <= (size_t)5 << 20; n = n * 7 + 1)
        for (int i = 0; i < 4; i++)
            for (int again = 0; again < 2; again++) {
                csp_region *r = csp_region_new(n, true, placements[i]);
                CHECK(r != NULL && r->size == n);
                CHECK(n == 0 || (r->data[0] == 0 && r->data[n - 1] == 0 && r->data[n / 2] == 0));
                memset(r->data, 0xff, n);
                csp_region_free(r);
            }
    csp_regions_trim();
    csp_pool_trim();
    CHECK_EQ(csp_regions_kept(), 0);
}

TEST(region_of_impossible_size_is_no_memory)
{
    for (int i = 0; i < 4; i++)
        for (int shift = 0; shift < 12; shift++)
            CHECK(csp_region_new(SIZE_MAX >> shift, true, placements[i]) == NULL);
    CHECK_EQ(csp_regions_live(), 0);
}

TEST(region_is_freed_with_the_last_handle)
{
    csp_region *r = csp_region_new(100, true, CSP_BY_SIZE);
    csp_end *one = handle_on(r, NULL), *two = csp_end_new(one->chan, CSP_SEND | CSP_RECV, NULL);
    CHECK(csp_region_export(one, true) == r);
    csp_region_unexport(one->chan);
    csp_region_unpin(one->chan);
    end_close(one);
    CHECK(csp_region_export(one, true) == NULL);
    CHECK_EQ(csp_regions_live(), 1);
    CHECK_EQ(csp_regions_bytes(), 100);
    end_close(two);
    CHECK_EQ(csp_regions_live(), 0);
    csp_end_free(one);
    csp_end_free(two);
}

TEST(region_is_freed_with_its_channel_if_a_pin_was_leaked)
{
    csp_end *end = handle_on(csp_region_new(100, true, CSP_BY_SIZE), NULL);
    csp_region_export(end, true);
    csp_end_free(end);
    CHECK_EQ(csp_regions_live(), 0);
}

TEST(pin_outlives_the_owner)
{
    csp_interp *interp = csp_interp_new(77, false);
    csp_end *end = handle_on(csp_region_new(5000, false, CSP_MAPPED), interp);
    csp_region *r = csp_region_export(end, true);
    csp_interp_died(interp, NULL, false);
    CHECK_EQ(csp_regions_live(), 1);
    r->data[4999] = 1;
    csp_region_unexport(end->chan);
    CHECK_EQ(csp_regions_live(), 1);
    csp_region_unpin(end->chan);
    CHECK_EQ(csp_regions_live(), 0);
    csp_end_free(end);
    csp_interp_decref(interp);
    csp_regions_trim();
}

TEST(pages_are_kept_for_the_next_and_few_of_them)
{
    csp_regions_trim();
    csp_region *many[40];
    for (int i = 0; i < 40; i++)
        many[i] = csp_region_new(20 << 20, false, CSP_MAPPED);
    unsigned char *last = many[39]->data;
    for (int i = 0; i < 40; i++)
        csp_region_free(many[i]);
    CHECK(csp_regions_kept() <= (size_t)256 << 20);
    csp_region *r = csp_region_new((20 << 20) - 100, true, CSP_BY_SIZE);
    CHECK(r->data == last);
    csp_region *other = csp_region_new(1 << 20, true, CSP_MAPPED); /* too small for such */
    CHECK(other->mapped < (size_t)8 << 20);
    csp_region_free(other);
    csp_region_free(r);
    csp_regions_trim();
}

TEST(allocations_of_a_region_may_fail)
{
    for (int i = 0; i < 4; i++)
        for (long n = 1;; n++) {
            csp_mem_fail_after(n);
            csp_region *r = csp_region_new(100, true, placements[i]);
            csp_chan *chan = r == NULL ? NULL : csp_region_chan_new(r);
            bool failed = csp_mem_countdown <= 0;
            csp_mem_fail_after(0);
            CHECK(failed == (chan == NULL));
            if (chan != NULL) {
                csp_chan_decref(chan);
                break;
            }
        }
    CHECK_EQ(csp_regions_live(), 0);
    csp_regions_trim();
}
