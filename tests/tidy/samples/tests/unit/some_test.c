START_TEST(a_test_that_exists)
{
}
END_TEST
